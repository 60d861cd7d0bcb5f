import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { burstRun } from "./burst-run.ts";

test(
  "a burst of more than 20,000 events with room for 1,024 in the queue leaves no difference",
  needs("rsync", "getfattr"),
  async () => {
    const result = await burstRun({ steps: 25_000, queueEntriesMax: 1024, seed: 1, timeoutMs: 60_000 });
    assert.ok(result.events >= 20_000 || result.overflows > 0, `only ${result.events} events`);
    assert.ok(result.rescans > 0, "the queue was full");
    assert.deepEqual(result.problems, []);
  },
);
