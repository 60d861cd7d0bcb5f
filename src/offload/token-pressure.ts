/**
 * Room for tokens: what all of them take, and which one goes first when a limit is met (T11).
 *
 * Always holds: tokens go by rank, the lowest first, among equals the one that was not used for longest; none is pushed
 * out by one of a lower priority. Errors: TOO_MANY.
 */
import type { RopewalkError } from "../base/errors.ts";
import type { ChangePolicy } from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import { SlotHeap } from "./slot-heap.ts";
import type { CancelReason, TokenCounters } from "./token-counters.ts";
import type { TokenNotes } from "./token-notes.ts";
import type { TokenRanges } from "./token-ranges.ts";
import { Column, ROW_BYTES_ESTIMATE } from "./token-rows.ts";
import type { TokenSettings } from "./token-settings.ts";
import { besideBytes, RowFlag, type TokenTable } from "./token-table.ts";

/** What use adds to a priority at most, one for each. */
const RISE_MAX = 16;
/** Rank of a token that may go. */
const HINTED_RANK = Number.MIN_SAFE_INTEGER;
/** Tokens that a turn of the loop gives up. */
const TOKENS_PER_TURN = 200;

export class TokenPressure {
  readonly #clock: Clock;
  readonly #table: TokenTable;
  readonly #counters: TokenCounters;
  readonly #settings: TokenSettings;
  readonly #remembered: () => number;
  readonly #forgetOldest: () => boolean;
  readonly #cancel: (slot: number, reason: CancelReason) => Promise<void>;
  readonly #refuse: (code: "TOO_MANY", sentence: string) => RopewalkError;
  readonly #ranked: SlotHeap;
  #heldBytes = 0n;

  constructor(options: {
    clock: Clock;
    table: TokenTable;
    counters: TokenCounters;
    settings: TokenSettings;
    /** Ended tokens that are remembered. */
    remembered: () => number;
    /** Forgets one of them; false when there is none. */
    forgetOldest: () => boolean;
    cancel: (slot: number, reason: CancelReason) => Promise<void>;
    refuse: (code: "TOO_MANY", sentence: string) => RopewalkError;
  }) {
    this.#clock = options.clock;
    this.#table = options.table;
    this.#counters = options.counters;
    this.#settings = options.settings;
    this.#remembered = options.remembered;
    this.#forgetOldest = options.forgetOldest;
    this.#cancel = options.cancel;
    this.#refuse = options.refuse;
    const { rows } = options.table;
    this.#ranked = new SlotHeap({
      before: (one, other) => {
        const ranks = rows.get(one, Column.rank) - rows.get(other, Column.rank);
        return (
          ranks < 0 || (ranks === 0 && rows.get(one, Column.usedAtMs) < rows.get(other, Column.usedAtMs))
        );
      },
      placeOf: (slot) => rows.get(slot, Column.rankPlace),
      setPlace: (slot, place) => rows.set(slot, Column.rankPlace, place),
    });
  }

  add(slot: number): void {
    this.#heldBytes += this.#heldBy(slot);
    this.#ranked.push(slot);
  }

  remove(slot: number): void {
    this.#ranked.remove(slot);
    this.#heldBytes -= this.#heldBy(slot);
  }

  #heldBy(slot: number): bigint {
    if (this.#table.policyOf(slot) === "reference") return 0n;
    return BigInt(this.#table.rows.get(slot, Column.lengthBytes));
  }

  /** It was used at `atMs`: it rises. */
  used(slot: number, atMs: number): void {
    const { rows } = this.#table;
    rows.set(slot, Column.usedAtMs, atMs);
    const uses = rows.get(slot, Column.uses) + 1;
    rows.set(slot, Column.uses, uses);
    if (uses <= RISE_MAX && !this.#table.has(slot, RowFlag.hinted))
      rows.set(slot, Column.rank, rows.get(slot, Column.rank) + 1);
    this.#ranked.moved(slot);
  }

  /** It goes first when space is wanted. */
  hint(slot: number): void {
    this.#table.mark(slot, RowFlag.hinted);
    this.#table.rows.set(slot, Column.rank, HINTED_RANK);
    this.#ranked.moved(slot);
  }

  /** Makes room for a token, lowest priority first. TOO_MANY when only higher ones are left */
  async makeRoom(token: {
    ranges: TokenRanges;
    policy: ChangePolicy;
    priority: number;
    notes?: TokenNotes | undefined;
  }): Promise<void> {
    const settings = this.#settings;
    const held = token.policy === "reference" ? 0n : BigInt(token.ranges.lengthBytes);
    if (held > BigInt(settings.heldBytesMax)) throw this.#noRoom("held");
    for (let ended = 0; ; ) {
      let reason: CancelReason;
      if (this.#counters.live >= settings.countMax) reason = "count";
      else if (this.memoryBytes + besideBytes(token) > settings.memoryBytesMax) {
        if (this.#forgetOldest()) continue;
        reason = "memory";
      } else if (this.#heldBytes + held > BigInt(settings.heldBytesMax)) reason = "held";
      else return;
      void this.giveUpLowest(reason, token.priority);
      if (++ended % TOKENS_PER_TURN === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
  }

  /** Cancels the token of the lowest rank. TOO_MANY when there is none that `priority` may push out */
  giveUpLowest(reason: CancelReason, priority: number): Promise<void> {
    const slot = this.#ranked.first;
    if (slot === undefined || this.#table.rows.get(slot, Column.rank) > priority) throw this.#noRoom(reason);
    return this.#cancel(slot, reason);
  }

  /** What all tokens take, by estimate. */
  get memoryBytes(): number {
    return (this.#counters.live + this.#remembered()) * ROW_BYTES_ESTIMATE + this.#table.besideBytes;
  }

  #noRoom(reason: CancelReason): RopewalkError {
    return this.#refuse("TOO_MANY", `There is no room for another token (${reason}) of this priority.`);
  }
}
