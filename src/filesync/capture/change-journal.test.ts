import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { AppendFile } from "../../ports/mod.ts";
import { ChangeJournal, JOURNAL_BYTES_MAX } from "./change-journal.ts";

class MemoryFile implements AppendFile {
  readonly content: Uint8Array;
  #parts: Uint8Array[];
  syncs = 0;
  isClosed = false;
  trouble: RopewalkError | undefined;

  constructor(content: Uint8Array = new Uint8Array()) {
    this.content = content;
    this.#parts = [content];
  }
  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
  append(bytes: Uint8Array): void {
    if (this.trouble !== undefined) throw this.trouble;
    this.#parts.push(bytes);
  }
  async sync(): Promise<void> {
    this.syncs += 1;
    if (this.isClosed) throw new RopewalkError("IO_ERROR", "closed");
  }
  clear(): void {
    if (this.trouble !== undefined) throw this.trouble;
    this.#parts = [];
  }
  async close(): Promise<void> {
    this.isClosed = true;
  }
}

function journalOf(file: MemoryFile) {
  const clock = new SteppedClock();
  const failed: unknown[] = [];
  return {
    journal: new ChangeJournal(file, { clock, failed: (error) => failed.push(error) }),
    clock,
    failed,
  };
}

const [one, below] = [
  { path: "a/\xff", below: false },
  { path: "d", below: true },
];

test("what was noted is left for the process that comes next, each change once", () => {
  const file = new MemoryFile();
  const { journal } = journalOf(file);
  for (const change of [one, below, one]) journal.noted(change);
  assert.deepEqual(journalOf(new MemoryFile(file.bytes)).journal.left(), [one, below]);
});

test("a damaged end is cut off", () => {
  const file = new MemoryFile();
  const { journal } = journalOf(file);
  for (const change of [one, below]) journal.noted(change);
  for (let cut = 1; cut < 8; cut += 1)
    assert.deepEqual(journalOf(new MemoryFile(file.bytes.subarray(0, -cut))).journal.left(), [one]);
  const { bytes } = file;
  bytes[bytes.length - 1]! ^= 1;
  assert.deepEqual(journalOf(new MemoryFile(bytes)).journal.left(), [one]);
});

test("when all is at every target nothing is left, neither of this process nor of the one before", () => {
  const before = new MemoryFile();
  journalOf(before).journal.noted(one);
  const file = new MemoryFile(before.bytes);
  const { journal } = journalOf(file);
  journal.noted(below);
  journal.settled();
  assert.deepEqual([journal.left(), file.bytes.length], [[], 0]);
});

test("what was noted is looked at again when the source was lost and came back", () => {
  const { journal } = journalOf(new MemoryFile());
  journal.noted(one);
  assert.deepEqual(journal.left(), [one]);
});

test("a full journal says that everything is to be looked at", () => {
  const file = new MemoryFile();
  const { journal } = journalOf(file);
  const path = "x".repeat(4000);
  for (let noted = 0; noted * 4007 <= JOURNAL_BYTES_MAX; noted += 1)
    journal.noted({ path: `${path}`, below: false });
  journal.noted(one);
  assert.deepEqual(journalOf(new MemoryFile(file.bytes)).journal.left(), [{ path: "", below: true }]);
});

test("it is synced once a second while there is something new, and not after its end", async () => {
  const file = new MemoryFile();
  const { journal, clock, failed } = journalOf(file);
  for (const change of [one, below]) journal.noted(change);
  await clock.step(1000);
  assert.equal(file.syncs, 1);
  await clock.step(5000);
  assert.equal(file.syncs, 1);
  journal.noted(one);
  await journal.close();
  await clock.step(5000);
  assert.deepEqual([file.syncs, clock.pending, failed], [1, 0, []]);
});

test("a disk that is full stops nothing, and what is written behind it can be read", () => {
  const file = new MemoryFile();
  const { journal, failed } = journalOf(file);
  journal.noted(one);
  file.trouble = new RopewalkError("IO_ERROR", "full");
  journal.noted(below);
  journal.settled();
  assert.ok(failed.length > 0);
  file.trouble = undefined;
  journal.settled();
  journal.noted(below);
  assert.deepEqual(journalOf(new MemoryFile(file.bytes)).journal.left(), [below]);
});
