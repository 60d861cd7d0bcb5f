/**
 * What tokens cost while they are used and kept, held against its limits (T11): blocks saved for them, bytes that their
 * transfers move, and how long a transfer takes.
 *
 * Always holds: each time a limit is passed one token is given up, so that a limit that is passed again costs another.
 */
import type { Clock } from "../ports/mod.ts";
import type { TokenRun } from "./token-run.ts";
import type { TokenSettings } from "./token-settings.ts";

const SECOND_MS = 1000;

export class TokenLoad {
  readonly #clock: Clock;
  readonly #settings: TokenSettings;
  readonly #giveUpRunning: (reason: "cost" | "latency") => void;
  readonly #saved: Rate;
  readonly #moved: Rate;

  constructor(options: {
    clock: Clock;
    settings: TokenSettings;
    /** Gives up the lowest of the tokens that are in use. */
    giveUpRunning: (reason: "cost" | "latency") => void;
  }) {
    const { clock, settings } = options;
    this.#clock = clock;
    this.#settings = settings;
    this.#giveUpRunning = options.giveUpRunning;
    this.#saved = new Rate(clock, settings.savedBytesPerSecondMax);
    this.#moved = new Rate(clock, settings.movedBytesPerSecondMax);
  }

  /** Blocks are about to be saved for tokens; true: more than may be in this second. */
  isOverheadAbove(savedBytes: number): boolean {
    return this.#saved.passes(savedBytes);
  }

  /** A transfer read and wrote so much. */
  moved(bytes: number): void {
    if (this.#moved.passes(bytes)) this.#giveUpRunning("cost");
  }

  /** A transfer goes on, or ends. */
  goesOn(run: TokenRun): void {
    if (run.isSlow || this.#clock.nowMs() - run.startedMs <= this.#settings.transferMsMax) return;
    run.isSlow = true;
    this.#giveUpRunning("latency");
  }
}

/** Bytes in a second, counted from the first of them on. */
class Rate {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #bytes = 0;

  constructor(clock: Clock, bytesMax: number) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
  }

  /** Whether these pass the limit; the second begins anew then. */
  passes(bytes: number): boolean {
    const now = this.#clock.nowMs();
    if (now - this.#sinceMs >= SECOND_MS) {
      this.#sinceMs = now;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax) return false;
    this.#sinceMs = Number.NEGATIVE_INFINITY;
    return true;
  }
}
