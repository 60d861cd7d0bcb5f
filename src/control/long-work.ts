/**
 * One kind of long work, such as a scrub: started, watched, waited for, cancelled.
 *
 * Always holds: at most one run at a time; who starts while one runs joins it; the last run's outcome stays
 * readable until the next begins. `wait` and `outcome` may fail as the work failed; nothing else fails.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import type { Clock } from "../ports/mod.ts";

export type WorkState = "idle" | "running" | "done" | "failed" | "cancelled";

export interface WorkReport<Progress, Result> {
  readonly state: WorkState;
  readonly startedAtMs?: number;
  readonly elapsedMs?: number;
  readonly progress?: Progress;
  readonly result?: Result;
  readonly error?: RopewalkError;
}

/** Does the work; says now and then how far it is; ends with CANCELLED soon after the signal. */
export type Work<Input, Progress, Result> = (
  input: Input,
  run: { report: (progress: Progress) => void; signal: AbortSignal },
) => Promise<Result>;

interface Run<Progress, Result> {
  readonly startedAtMs: number;
  readonly startedMs: number;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
  state: Exclude<WorkState, "idle">;
  endedMs?: number;
  progress?: Progress;
  result?: Result;
  error?: RopewalkError;
}

export class LongWork<Input, Progress, Result> {
  readonly #clock: Clock;
  readonly #work: Work<Input, Progress, Result>;
  #run: Run<Progress, Result> | undefined;

  constructor(clock: Clock, work: Work<Input, Progress, Result>) {
    this.#clock = clock;
    this.#work = work;
  }

  report(): WorkReport<Progress, Result> {
    const run = this.#run;
    if (!run) return { state: "idle" };
    const { state, startedAtMs, progress, result, error } = run;
    return {
      state,
      startedAtMs,
      elapsedMs: Math.round((run.endedMs ?? this.#clock.nowMs()) - run.startedMs),
      ...(progress === undefined ? {} : { progress }),
      ...(result === undefined ? {} : { result }),
      ...(error === undefined ? {} : { error }),
    };
  }

  /** Starts a run, or joins the one under way. */
  start(input: Input): void {
    if (this.#run?.state === "running") return;
    const ended = Promise.withResolvers<void>();
    const run: Run<Progress, Result> = {
      startedAtMs: this.#clock.wallMs(),
      startedMs: this.#clock.nowMs(),
      abort: new AbortController(),
      ended: ended.promise,
      state: "running",
    };
    this.#run = run;
    void this.#perform(run, input).then(ended.resolve);
  }

  /** The run's result when it ends. Rejects as the work did, CANCELLED when it was cancelled. */
  async outcome(): Promise<Result> {
    const run = this.#run;
    if (!run) throw new RopewalkError("NOT_FOUND", "Nothing was started.");
    await run.ended;
    if (run.error) throw run.error;
    return run.result as Result;
  }

  /** Resolves when the run under way ends, at once when there is none, and after `waitMs` at the latest. */
  async wait(waitMs: number): Promise<void> {
    const run = this.#run;
    if (run?.state !== "running" || waitMs <= 0) return;
    const passed = Promise.withResolvers<void>();
    const timer = this.#clock.after(waitMs, passed.resolve);
    await Promise.race([run.ended, passed.promise]);
    timer.cancel();
  }

  /** Asks the run to stop and waits until it did. */
  async cancel(): Promise<void> {
    const run = this.#run;
    if (run?.state !== "running") return;
    run.abort.abort(new RopewalkError("CANCELLED", "The work was cancelled."));
    await run.ended;
  }

  async #perform(run: Run<Progress, Result>, input: Input): Promise<void> {
    const { signal } = run.abort;
    try {
      run.result = await this.#work(input, { signal, report: (progress) => (run.progress = progress) });
      run.state = "done";
    } catch (error) {
      const code = asRopewalkError(error).code;
      run.state = signal.aborted || code === "CANCELLED" ? "cancelled" : "failed";
      run.error = run.state === "cancelled" ? asCancelled(error, signal) : asRopewalkError(error);
    }
    run.endedMs = this.#clock.nowMs();
  }
}

/** The work's own sentence where it has one, such as how far it came. */
function asCancelled(error: unknown, signal: AbortSignal): RopewalkError {
  if (error instanceof RopewalkError && error.code === "CANCELLED" && error !== signal.reason) return error;
  return new RopewalkError("CANCELLED", "The work was cancelled; start it again to go through all.", {
    cause: error,
  });
}
