import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { ClaimedFront } from "./claimed-front.ts";
import { type EntryKind, QueuedEntry } from "./entry.ts";
import { EntryList } from "./entry-list.ts";

const KINDS: readonly EntryKind[] = ["sync-copy", "sync-copy", "sync-copy", "write", "mark"];

test("what comes next is what stands behind all copies in work at the front, whatever comes, is done or waits again", () => {
  const step = fc.record({
    what: fc.constantFrom("append", "claim", "claim", "done", "back", "look"),
    at: fc.nat(30),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const list = new EntryList();
      const front = new ClaimedFront(list);
      let number = 0;
      for (const { what, at } of steps) {
        const entries = [...list];
        const entry = entries[at % Math.max(1, entries.length)];
        if (what === "append") list.append(new QueuedEntry(++number, { kind: KINDS[at % KINDS.length]! }, 0));
        else if (what === "look") {
          const expected = entries.find(({ kind, state }) => kind !== "sync-copy" || state !== "claimed");
          assert.equal(front.next()?.number, expected?.number);
        } else if (entry !== undefined && what === "claim") entry.state = "claimed";
        else if (entry?.state === "claimed" && what === "done") {
          front.leaves(entry);
          list.remove(entry);
        } else if (entry?.state === "claimed" && what === "back") {
          entry.state = "waiting";
          front.waitsAgain(entry);
        }
      }
    }),
    { numRuns: 2000 },
  );
});
