import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { Checks } from "./checks.ts";
import { imageWalk } from "./image-walk.ts";

const tools = [
  "mke2fs",
  "debugfs",
  "e2fsck",
  "nbdcopy",
  "nbdinfo",
  "nbdfuse",
  "qemu-img",
  "root",
  "fuse",
  "loop",
];

test(
  "a real ext4 image goes in, is cloned, mounted, changed and rolled back, and comes out bit for bit",
  needs(...tools),
  async () => {
    const said: string[] = [];
    const checks = new Checks((line) => said.push(line));
    await imageWalk({ sizeBytes: 96 * 2 ** 20 }, checks);
    assert.equal(checks.failed, 0, said.join("\n"));
  },
);
