/**
 * One page thread: takes jobs off the board until it is told to end.
 *
 * Always holds: a job is taken by one thread; a read that would wait for the device is handed back, so that a slow
 * disk never stops the checksums.
 */
import { writevSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { checksumAt } from "../../base/checksum.ts";
import { linuxCalls } from "../linux-calls.ts";
import {
  detailsAt,
  JobKind,
  JobState,
  JobWord,
  jobAt,
  THREAD_READY,
  type ThreadStart,
  Word,
} from "./job-board.ts";

const PAGE_BYTES = 4096;

const { board, memory, lookMs } = workerData as ThreadStart;
const words = new Int32Array(board);
const details = new Uint32Array(board);
const bytes = new Uint8Array(memory);

function take(): number | undefined {
  const taken = Atomics.load(words, Word.taken);
  if (taken === Atomics.load(words, Word.posted)) return undefined;
  return Atomics.compareExchange(words, Word.taken, taken, (taken + 1) | 0) === taken ? taken : take();
}

/** Until the bell has rung since `heard`. */
function waitForBell(heard: number): void {
  const untilMs = performance.now() + lookMs;
  while (performance.now() < untilMs) if (Atomics.load(words, Word.bell) !== heard) return;
  Atomics.wait(words, Word.bell, heard);
}

function checksumPages(job: number): number {
  const at = jobAt(job);
  const offset = words[at + JobWord.offset]!;
  const pages = words[at + JobWord.count]!;
  const sumAt = detailsAt(job);
  for (let page = 0; page < pages; page += 1)
    details[sumAt + page] = checksumAt(bytes, offset + page * PAGE_BYTES, PAGE_BYTES);
  return JobState.done;
}

function readPages(job: number): number {
  const at = jobAt(job);
  const offset = words[at + JobWord.offset]!;
  const pages = words[at + JobWord.count]!;
  const length = pages * PAGE_BYTES;
  const descriptor = words[at + JobWord.descriptor]!;
  if (linuxCalls.readNowait(descriptor, bytes, offset, length, positionOf(at)) !== length)
    return JobState.failed;
  const sumAt = detailsAt(job);
  for (let page = 0; page < pages; page += 1)
    if (checksumAt(bytes, offset + page * PAGE_BYTES, PAGE_BYTES) !== details[sumAt + page])
      return JobState.failed;
  return JobState.done;
}

function writeParts(job: number): number {
  const at = jobAt(job);
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  for (let part = 0, detail = detailsAt(job); part < words[at + JobWord.count]!; part += 1, detail += 2) {
    parts.push(new Uint8Array(memory, details[detail]!, details[detail + 1]!));
    lengthBytes += details[detail + 1]!;
  }
  words[at + JobWord.errno] = 0;
  try {
    const written = writevSync(words[at + JobWord.descriptor]!, parts, positionOf(at));
    return written === lengthBytes ? JobState.done : JobState.failed;
  } catch (error) {
    words[at + JobWord.errno] = -((error as NodeJS.ErrnoException).errno ?? 0);
    return JobState.failed;
  }
}

function positionOf(at: number): number {
  return (words[at + JobWord.positionLow]! >>> 0) + words[at + JobWord.positionHigh]! * 2 ** 32;
}

function run(job: number): number {
  switch (words[jobAt(job) + JobWord.kind]) {
    case JobKind.read:
      return readPages(job);
    case JobKind.write:
      return writeParts(job);
    default:
      return checksumPages(job);
  }
}

parentPort!.postMessage(THREAD_READY);
while (Atomics.load(words, Word.ending) === 0) {
  const heard = Atomics.load(words, Word.bell);
  const job = take();
  if (job === undefined) {
    if (Atomics.load(words, Word.ending) === 0) waitForBell(heard);
    continue;
  }
  Atomics.store(words, jobAt(job) + JobWord.state, run(job));
  if (Atomics.load(words, Word.sleeping) === 1 && Atomics.compareExchange(words, Word.sleeping, 1, 0) === 1)
    parentPort!.postMessage(0);
}
