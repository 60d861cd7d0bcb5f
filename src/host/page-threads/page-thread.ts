/**
 * One page thread: takes jobs off the board until it is told to end.
 *
 * Always holds: a job is taken by one thread; a read that would wait for the device is handed back, so that a slow
 * disk never stops the checksums.
 */
import { parentPort, workerData } from "node:worker_threads";
import { checksumAt } from "../../base/checksum.ts";
import { linuxCalls } from "../linux-calls.ts";
import {
  JobKind,
  JobState,
  JobWord,
  jobAt,
  sumsAt,
  THREAD_READY,
  type ThreadStart,
  Word,
} from "./job-board.ts";

const PAGE_BYTES = 4096;

const { board, memory, lookMs } = workerData as ThreadStart;
const words = new Int32Array(board);
const sums = new Uint32Array(board);
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
  const pages = words[at + JobWord.pages]!;
  const sumAt = sumsAt(job);
  for (let page = 0; page < pages; page += 1)
    sums[sumAt + page] = checksumAt(bytes, offset + page * PAGE_BYTES, PAGE_BYTES);
  return JobState.done;
}

function readPages(job: number): number {
  const at = jobAt(job);
  const offset = words[at + JobWord.offset]!;
  const pages = words[at + JobWord.pages]!;
  const position = (words[at + JobWord.positionLow]! >>> 0) + words[at + JobWord.positionHigh]! * 2 ** 32;
  const length = pages * PAGE_BYTES;
  if (linuxCalls.readNowait(words[at + JobWord.descriptor]!, bytes, offset, length, position) !== length)
    return JobState.done;
  const sumAt = sumsAt(job);
  for (let page = 0; page < pages; page += 1)
    if (checksumAt(bytes, offset + page * PAGE_BYTES, PAGE_BYTES) !== sums[sumAt + page])
      return JobState.done;
  return JobState.matches;
}

parentPort!.postMessage(THREAD_READY);
while (Atomics.load(words, Word.ending) === 0) {
  const heard = Atomics.load(words, Word.bell);
  const job = take();
  if (job === undefined) {
    if (Atomics.load(words, Word.ending) === 0) waitForBell(heard);
    continue;
  }
  const state = words[jobAt(job) + JobWord.kind] === JobKind.read ? readPages(job) : checksumPages(job);
  Atomics.store(words, jobAt(job) + JobWord.state, state);
  if (Atomics.load(words, Word.sleeping) === 1 && Atomics.compareExchange(words, Word.sleeping, 1, 0) === 1)
    parentPort!.postMessage(0);
}
