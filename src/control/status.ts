/** What the daemon says about itself and its pool at this moment. */
import type { PoolCounters, PoolStatus } from "../pool/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";

/** What only the process itself knows. */
export interface Machine {
  readonly version: string;
  /** Resident memory of the process. */
  rssBytes(): number;
  /** Longest time that one turn of the event loop took, of about the last minute and since start. */
  longestTurnMs(): { lastMinute: number; sinceStart: number };
  /** How late a timer fired: turns of an idle loop, and what the machine takes to wake it. */
  longestDelayMs(): { lastMinute: number; sinceStart: number };
}

export interface DaemonStatus {
  readonly pool: PoolStatus;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly rssBytes: number;
}

export class Status {
  readonly #pool: ControlledPool;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #startedMs: number;

  constructor(options: { pool: ControlledPool; machine: Machine; clock: Clock }) {
    this.#pool = options.pool;
    this.#machine = options.machine;
    this.#clock = options.clock;
    this.#startedMs = options.clock.nowMs();
  }

  now(): DaemonStatus {
    return {
      pool: this.#pool.status(),
      version: this.#machine.version,
      uptimeSeconds: Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000),
      rssBytes: this.#machine.rssBytes(),
    };
  }

  counters(): PoolCounters {
    return this.#pool.counters;
  }

  longestTurnMs(): ReturnType<Machine["longestTurnMs"]> {
    return this.#machine.longestTurnMs();
  }

  longestDelayMs(): ReturnType<Machine["longestDelayMs"]> {
    return this.#machine.longestDelayMs();
  }
}
