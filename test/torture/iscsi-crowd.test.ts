import assert from "node:assert/strict";
import { test } from "node:test";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";
import { Checks } from "./checks.ts";
import { iscsiCrowd } from "./iscsi-crowd.ts";

test(
  "1,000 idle sessions and two that stall in their data-out do not touch the one that works",
  needsLibiscsi(),
  async () => {
    const said: string[] = [];
    const checks = new Checks((line) => said.push(line));
    await iscsiCrowd({ idleSessions: 1000, stalledSessions: 2, workMs: 1000, untilEnded: false }, checks);
    assert.equal(checks.failed, 0, said.join("\n"));
  },
);
