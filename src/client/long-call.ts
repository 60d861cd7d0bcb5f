/**
 * Long work at the daemon, followed to its end: started, watched, cancelled when the caller's signal says so.
 * Always holds: after a cancel the daemon has stopped before the call rejects with CANCELLED.
 */
import { RopewalkError } from "../base/errors.ts";
import type { ErrorJson } from "../frontend/http/mod.ts";
import type { ApiCaller } from "./api-call.ts";

export interface LongCallOptions<Progress> {
  /** Cancels the work at the daemon. */
  readonly signal?: AbortSignal;
  /** Called about once a second while it runs. */
  readonly onProgress?: (progress: Progress, elapsedMs: number) => void;
}

interface Work<Progress, Result> {
  readonly state: "idle" | "running" | "done" | "failed" | "cancelled";
  readonly elapsedMs?: number;
  readonly progress?: Progress;
  readonly result?: Result;
  readonly error?: ErrorJson;
}

const WATCH_SECONDS = 1;

export async function followWork<Progress, Result>(
  caller: ApiCaller,
  { path, body, signal, onProgress }: LongCallOptions<Progress> & { path: string; body?: object },
): Promise<Result> {
  if (signal?.aborted) throw cancelled();
  const started = await caller.call<Work<Progress, Result>>("POST", path, { query: { wait: false }, body });
  return followStarted(caller, started, {
    path,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

/** Follows work that was started and is watched by GET and cancelled by DELETE of its path. */
export async function followStarted<Progress, Result>(
  caller: ApiCaller,
  started: Work<Progress, Result>,
  {
    path,
    signal,
    onProgress,
    onFailure,
  }: LongCallOptions<Progress> & {
    path: string;
    /** How far it was when it failed or was cancelled. */
    onFailure?: (progress: Progress, elapsedMs: number) => void;
  },
): Promise<Result> {
  let work = started;
  while (work.state === "running") {
    if (work.progress !== undefined) onProgress?.(work.progress, work.elapsedMs ?? 0);
    work = signal?.aborted ? await caller.call("DELETE", path) : await watch(caller, path, signal);
  }
  if (work.error && work.progress !== undefined) onFailure?.(work.progress, work.elapsedMs ?? 0);
  if (work.error) throw new RopewalkError(work.error.code, work.error.message);
  return work.result as Result;
}

/** The state after a while, or at once when the signal comes. */
async function watch<Answer>(caller: ApiCaller, path: string, signal?: AbortSignal): Promise<Answer> {
  try {
    return await caller.call("GET", path, { query: { waitSeconds: WATCH_SECONDS }, signal });
  } catch (error) {
    if (signal?.aborted) return caller.call("DELETE", path);
    throw error;
  }
}

function cancelled(): RopewalkError {
  return new RopewalkError("CANCELLED", "It was cancelled before it began.");
}
