import assert from "node:assert/strict";
import { test } from "node:test";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";
import { Checks } from "./checks.ts";
import { iscsiCrowd } from "./iscsi-crowd.ts";

const CROWDS = [
  {
    title: "1,000 idle sessions and two that stall in their data-out do not touch the one that works",
    crowd: { idleSessions: 1000, stalledSessions: 2 },
  },
  {
    title: "eight sessions that stall in their data-out hold up nothing for a second",
    crowd: { idleSessions: 0, stalledSessions: 8 },
  },
  {
    title: "eight sessions that do not read what they asked for hold up nothing for a second",
    crowd: { idleSessions: 0, stalledSessions: 0, deafSessions: 8 },
  },
];

for (const { title, crowd } of CROWDS)
  test(title, needsLibiscsi(), async () => {
    const said: string[] = [];
    const checks = new Checks((line) => said.push(line));
    await iscsiCrowd({ ...crowd, workMs: 1000, untilEnded: false }, checks);
    assert.equal(checks.failed, 0, said.join("\n"));
  });
