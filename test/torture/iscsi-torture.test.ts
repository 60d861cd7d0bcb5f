import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { Checks } from "./checks.ts";
import { iscsiTorture } from "./iscsi-torture.ts";

const tools = [
  "qemu-nbd",
  "qemu-block-extra",
  "nbdfuse",
  "mke2fs",
  "dumpe2fs",
  "e2fsck",
  "root",
  "fuse",
  "loop",
];

test(
  "an ext4 on a logical unit loses nothing that was durable when the daemon is killed twice under it",
  needs(...tools),
  async () => {
    const said: string[] = [];
    const checks = new Checks((line) => said.push(line));
    await iscsiTorture({ kills: 2, seed: 1, lifeMsMin: 1000, lifeMsMax: 2000 }, checks);
    assert.equal(checks.failed, 0, said.join("\n"));
    assert.ok(checks.passed >= 2 * 6, said.join("\n"));
  },
);
