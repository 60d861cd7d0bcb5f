// Threads whose work ends in any order, whose connections die at any time, that are paused and left alone for long: the
// rules hold at every moment, and at the end everything was processed.
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import type { Entry } from "../queue/entry.ts";
import { ScriptedTarget } from "./testing/scripted-target.ts";

interface Step {
  readonly what: "start" | "copy" | "finish" | "write" | "mark" | "work" | "part" | "die" | "wait" | "pause";
  readonly which: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { arbitrary: fc.constantFrom("work" as const), weight: 8 },
    { arbitrary: fc.constantFrom("copy" as const), weight: 4 },
    { arbitrary: fc.constantFrom("write" as const, "part" as const), weight: 2 },
    { arbitrary: fc.constantFrom("start", "finish", "mark", "die", "wait", "pause"), weight: 1 },
  ),
  which: fc.nat(20),
});

class Interleaving {
  readonly #target: ScriptedTarget;
  readonly #appended: Entry[] = [];
  #marks = 0;
  #reached = 0;

  constructor(threads: number) {
    // Claims beside each other, too.
    const queueSettings = { copyRunEntriesMax: 2, copyRunsMax: 3 };
    this.#target = new ScriptedTarget({ clock: new SteppedClock(), threads, queueSettings });
  }

  async step({ what, which }: Step): Promise<void> {
    const target = this.#target;
    const call = target.calls[which % target.calls.length];
    if (what === "work") call?.done();
    else if (what === "part") {
      if (call?.what === "copy" && call.entries.length === 1) call.done({ putBack: call.entries, done: [] });
    } else if (what === "die") target.connections[which % target.connections.length]?.abandonByPeer();
    else if (what === "wait") await target.pass([10, 200, 6000, 40_000][which % 4]);
    else if (what === "pause") {
      if (target.threads.isPaused) target.threads.resume();
      else void target.threads.pause();
    } else if (what === "mark") {
      this.#marks++;
      void target.queue.mark(which).then(() => this.#reached++);
    } else this.#append(what, which);
    await target.pass();
    this.#check();
  }

  async end(): Promise<void> {
    const target = this.#target;
    target.threads.resume();
    await target.pass();
    for (let rounds = 0; !target.queue.isEmpty; rounds++) {
      assert.ok(rounds < 500, "the queue comes to its end");
      for (const call of [...target.calls]) call.done();
      await target.pass(target.calls.length > 0 ? 0 : 1000);
      this.#check();
    }
    for (const entry of this.#appended) assert.equal(entry.state, "done");
    await target.pass();
    assert.equal(this.#reached, this.#marks);
    await target.pass(60_000);
    assert.deepEqual(target.open(), [0], "F11");
    await target.stop();
    assert.equal(target.clock.pending, 0, "no timer is left");
  }

  #append(what: "start" | "copy" | "finish" | "write", which: number): void {
    const kinds = { start: "sync-start", copy: "sync-copy", finish: "sync-finish", write: "write" } as const;
    this.#appended.push(this.#target.append(kinds[what], `f${which}`, { sizeBytes: which * 200_000 }));
  }

  #check(): void {
    const { calls } = this.#target;
    const entries = calls.flatMap((call) => call.entries);
    assert.equal(new Set(entries).size, entries.length, "F12: an entry is worked on by one thread");
    const isCommand = calls.some((call) => call.what === "commands" && call.entries[0]!.kind !== "mark");
    if (isCommand) assert.equal(calls.length, 1, "F7");
    for (const { connection } of calls)
      assert.ok(!this.#target.ended.includes(connection), "no work over a connection that has ended");
    const finish = calls.find((call) => call.entries[0]!.kind === "sync-finish")?.entries[0];
    for (const entry of this.#appended)
      assert.ok(finish === undefined || entry.number >= finish.number || entry.state === "done", "F5");
  }
}

test("whatever the order in which work ends and connections die, the rules hold and everything is processed", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 60, size: "max" }),
      async (threads, steps) => {
        const interleaving = new Interleaving(threads);
        for (const one of steps) await interleaving.step(one);
        await interleaving.end();
      },
    ),
    { numRuns: 300, seed: 11 },
  ));
