import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { Checks } from "./checks.ts";
import { nbdTorture } from "./nbd-torture.ts";

test(
  "a daemon killed three times under fio, qemu-io and our own writer loses nothing that it acknowledged",
  needs("fio", "qemu-io"),
  async () => {
    const said: string[] = [];
    const checks = new Checks((line) => said.push(line));
    await nbdTorture({ kills: 3, seed: 1, lifeMsMin: 1000, lifeMsMax: 2000 }, checks);
    assert.equal(checks.failed, 0, said.join("\n"));
    assert.ok(checks.passed >= 3 * 8, said.join("\n"));
  },
);
