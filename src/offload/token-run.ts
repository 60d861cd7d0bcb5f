/**
 * One use of a token while it runs: what it reads, and whether the token has ended meanwhile (T12).
 * Always holds: the backing is counted from the ledger's `beginRun` to its `finishRun`.
 */
import { Deferred } from "../base/deferred.ts";
import type { RopewalkError } from "../base/errors.ts";
import type { ChangePolicy } from "../device/mod.ts";
import type { TokenBacking } from "./token-backing.ts";
import type { TokenRanges } from "./token-ranges.ts";

export class TokenRun {
  readonly ranges: TokenRanges;
  readonly backing: TokenBacking;
  readonly policy: ChangePolicy;
  readonly deleteOnUse: boolean;
  readonly slot: number;
  readonly startedMs: number;
  readonly #finished = new Deferred();
  /** It took longer than a transfer may. */
  isSlow = false;
  /** How the token ended while this ran. */
  endedAs: RopewalkError | undefined;

  constructor(fields: {
    ranges: TokenRanges;
    backing: TokenBacking;
    policy: ChangePolicy;
    deleteOnUse: boolean;
    slot: number;
    startedMs: number;
  }) {
    this.ranges = fields.ranges;
    this.backing = fields.backing;
    this.policy = fields.policy;
    this.deleteOnUse = fields.deleteOnUse;
    this.slot = fields.slot;
    this.startedMs = fields.startedMs;
  }

  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  finish(): void {
    this.#finished.resolve();
  }
}
