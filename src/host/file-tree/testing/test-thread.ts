/** A tree thread for tests of the threads themselves. */
import { threadId } from "node:worker_threads";
import { RopewalkError } from "../../../base/errors.ts";
import { copied, serveJobs } from "../thread-jobs.ts";

const handlers = {
  /** Keeps the thread busy; which one it was. */
  busy: (ms: number) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return copied(threadId);
  },
  fail: (sentence: string) => {
    throw new RopewalkError("NOT_FOUND", sentence);
  },
  die: (code: number) => {
    process.exit(code);
    return copied(code);
  },
  bytes: (length: number) => {
    const bytes = new Uint8Array(length).fill(1);
    return { result: bytes, transfer: [bytes.buffer] };
  },
} as const;

export type TestJobs = typeof handlers;

serveJobs(handlers);
