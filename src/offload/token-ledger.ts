/**
 * The token store (T9): every live token, and for a while every ended one, from its first to its last day.
 *
 * Always holds: a token is live until `end` is called once, whoever finds first that it is over; time is the wall
 * clock's at the start and goes on evenly from there, so that a jump of the clock ends nothing; one timer serves all.
 * Errors: TOKEN_UNKNOWN with one and the same sentence; TOKEN_EXPIRED, TOKEN_REVOKED, TOKEN_CANCELLED, TOKEN_DELETED,
 * TOKEN_CHANNEL for tokens that verify (T8).
 */
import { assert } from "../base/assert.ts";
import { type ErrorCode, RopewalkError } from "../base/errors.ts";
import type { ByteRange, ChangePolicy } from "../device/mod.ts";
import type { Clock, Random, Timer } from "../ports/mod.ts";
import { BackingTable } from "./backing-table.ts";
import { SharedNames } from "./shared-names.ts";
import { SlotHeap } from "./slot-heap.ts";
import type { TokenBacking } from "./token-backing.ts";
import { TOKEN_ID_BYTES, TOKEN_NONCE_BYTES, type TokenBytes } from "./token-bytes.ts";
import { type CancelReason, TokenCounters } from "./token-counters.ts";
import { TokenRanges } from "./token-ranges.ts";
import { Column, ROW_BYTES_ESTIMATE, TokenRows } from "./token-rows.ts";
import { TokenRun } from "./token-run.ts";
import type { TokenInfo } from "./token-service.ts";
import type { TokenSettings } from "./token-settings.ts";

const RowFlag = { persistent: 8, deleteOnUse: 16, isProtected: 32, severalRanges: 64, hinted: 128 } as const;
const POLICY_BITS = 7;
const POLICIES: readonly ChangePolicy[] = ["preserve", "invalidate", "reference"];
const STATES: readonly TokenInfo["state"][] = ["valid", "expired", "revoked", "cancelled", "deleted"];

/** A range beside the rows. */
const RANGE_BYTES_ESTIMATE = 96;
/** A range that is watched. */
const WATCHED_BYTES_ESTIMATE = 320;
/** What use adds to a priority at most, one for each. */
const RISE_MAX = 16;
/** Rank of a token that may go. */
const HINTED_RANK = Number.MIN_SAFE_INTEGER;
/** Tokens that a turn of the loop ends or gives up. */
const TOKENS_PER_TURN = 200;
/** Sources that are gone are noticed at each use, and by all within this time. */
const SWEEP_MS = 5000;

const UNKNOWN = "The token is unknown; ask for a new one or copy plainly.";

export interface NewToken {
  readonly id: Uint8Array;
  readonly nonce: Uint8Array;
  readonly ranges: TokenRanges;
  readonly policy: ChangePolicy;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly inactivityMs: number;
  readonly persistent: boolean;
  readonly deleteOnUse: boolean;
  readonly isProtected: boolean;
  readonly priority: number;
  readonly creator: string;
}

export class TokenLedger {
  readonly counters = new TokenCounters();
  readonly settings: TokenSettings;
  readonly bytes: TokenBytes;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #report: (sentence: string) => void;
  readonly #startedWallMs: number;
  readonly #startedMs: number;
  readonly #rows = new TokenRows();
  /** Ranges of tokens that have several. */
  readonly #ranges = new Map<number, TokenRanges>();
  readonly #backings = new BackingTable();
  readonly #creators = new SharedNames();
  /** Sources and providers of tokens, the two in a line each. */
  readonly #sources = new SharedNames();
  readonly #due: SlotHeap;
  readonly #ranked: SlotHeap;
  readonly #running = new Set<TokenRun>();
  /** Those of live tokens, by slot. */
  readonly #runs = new Map<number, Set<TokenRun>>();
  /** Ended tokens, the oldest from `#endedFirst` on. */
  #ended: number[] = [];
  #endedFirst = 0;
  /** Memory of what stands beside the rows, by estimate. */
  #besideBytes = 0;
  #heldBytes = 0n;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: {
    clock: Clock;
    random: Random;
    settings: TokenSettings;
    bytes: TokenBytes;
    report: (sentence: string) => void;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.settings = options.settings;
    this.bytes = options.bytes;
    this.#report = options.report;
    this.#startedWallMs = options.clock.wallMs();
    this.#startedMs = options.clock.nowMs();
    const rows = this.#rows;
    this.#due = new SlotHeap({
      before: (one, other) => rows.get(one, Column.dueAtMs) < rows.get(other, Column.dueAtMs),
      placeOf: (slot) => rows.get(slot, Column.duePlace),
      setPlace: (slot, place) => rows.set(slot, Column.duePlace, place),
    });
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

  nowMs(): number {
    return Math.floor(this.#startedWallMs + (this.#clock.nowMs() - this.#startedMs));
  }

  /** Random bytes for a new token; no other token that is known has the id. */
  newId(): { id: Uint8Array; nonce: Uint8Array } {
    for (;;) {
      const bytes = this.#random.bytes(TOKEN_ID_BYTES + TOKEN_NONCE_BYTES);
      const id = bytes.subarray(0, TOKEN_ID_BYTES);
      if (this.#rows.isFree(word(id, 0), word(id, 4))) return { id, nonce: bytes.subarray(TOKEN_ID_BYTES) };
    }
  }

  /** Takes over one count of `backing`. */
  add(token: NewToken, backing: TokenBacking): void {
    const rows = this.#rows;
    const slot = rows.add(word(token.id, 0), word(token.id, 4));
    const { ranges } = token;
    if ("slot" in backing) backing.slot = slot;
    rows.set(slot, Column.check, checkOf(token.nonce));
    rows.set(slot, Column.lengthBytes, ranges.lengthBytes);
    rows.set(slot, Column.offsetBytes, ranges.ranges[0]!.offsetBytes);
    rows.set(slot, Column.createdAtMs, token.createdAtMs);
    rows.set(slot, Column.expiresAtMs, token.expiresAtMs);
    rows.set(slot, Column.inactivityMs, token.inactivityMs);
    rows.set(slot, Column.usedAtMs, this.nowMs());
    rows.set(slot, Column.rank, token.priority);
    rows.set(
      slot,
      Column.flags,
      POLICIES.indexOf(token.policy) |
        (token.persistent ? RowFlag.persistent : 0) |
        (token.deleteOnUse ? RowFlag.deleteOnUse : 0) |
        (token.isProtected ? RowFlag.isProtected : 0) |
        (ranges.ranges.length > 1 ? RowFlag.severalRanges : 0),
    );
    if (ranges.ranges.length > 1) {
      this.#ranges.set(slot, ranges);
    }
    this.#besideBytes += besideBytes(token);
    rows.set(slot, Column.backing, this.#backings.add(backing));
    rows.set(slot, Column.creator, this.#creators.hold(token.creator));
    const { provider, description } = backing.origin;
    rows.set(slot, Column.source, this.#sources.hold(`${provider}\n${description}`));
    if (token.policy === "invalidate") backing.origin.watched.add(slot, ranges.ranges);
    if (token.policy !== "reference") this.#heldBytes += BigInt(ranges.lengthBytes);
    rows.set(slot, Column.dueAtMs, this.#dueAt(slot));
    this.#due.push(slot);
    this.#ranked.push(slot);
    this.counters.live += 1;
    this.#arm();
  }

  /** A token that verifies and whose row is known, ended or not. TOKEN_UNKNOWN, TOKEN_EXPIRED when it is forgotten */
  find(token: Uint8Array): number {
    const fields = this.bytes.verify(token);
    if (fields === undefined) {
      this.counters.forged += 1;
      throw this.#refusal("TOKEN_UNKNOWN", UNKNOWN);
    }
    const slot = this.#rows.find(word(fields.id, 0), word(fields.id, 4));
    if (slot !== undefined && this.#rows.get(slot, Column.check) === checkOf(fields.nonce)) {
      this.#endIfOver(slot);
      return slot;
    }
    if (this.nowMs() >= fields.expiresAtMs) throw this.#refusal("TOKEN_EXPIRED", "The token's time is over.");
    throw this.#refusal("TOKEN_UNKNOWN", UNKNOWN);
  }

  /** TOKEN_CHANNEL */
  checkChannel(slot: number, channel: { isProtected: boolean }): void {
    if (channel.isProtected || this.settings.allowUnprotected) return;
    if ((this.#rows.get(slot, Column.flags) & RowFlag.isProtected) === 0) return;
    throw this.#refusal(
      "TOKEN_CHANNEL",
      "The token was issued on a protected channel and is not taken on this one.",
    );
  }

  isLive(slot: number): boolean {
    return this.#rows.get(slot, Column.state) === 0;
  }

  /** Begins a use; ends with `finishRun`. The state's error */
  beginRun(slot: number): TokenRun {
    const rows = this.#rows;
    const error = this.#errorOf(slot);
    if (error !== undefined) {
      this.counters.refused += 1;
      throw error;
    }
    const flags = rows.get(slot, Column.flags);
    rows.set(slot, Column.usedAtMs, this.nowMs());
    const uses = rows.get(slot, Column.uses) + 1;
    rows.set(slot, Column.uses, uses);
    if (uses <= RISE_MAX && (flags & RowFlag.hinted) === 0)
      rows.set(slot, Column.rank, rows.get(slot, Column.rank) + 1);
    this.#ranked.moved(slot);
    this.counters.used += 1;
    const backing = this.#backingOf(slot)!;
    backing.hold();
    const run = new TokenRun({
      ranges: this.#rangesOf(slot),
      backing,
      policy: POLICIES[flags & POLICY_BITS]!,
      deleteOnUse: (flags & RowFlag.deleteOnUse) !== 0,
      slot,
    });
    this.#running.add(run);
    const runs = this.#runs.get(slot);
    if (runs === undefined) this.#runs.set(slot, new Set([run]));
    else runs.add(run);
    return run;
  }

  finishRun(run: TokenRun): void {
    if (run.endedAs === undefined) {
      const runs = this.#runs.get(run.slot)!;
      runs.delete(run);
      if (runs.size === 0) this.#runs.delete(run.slot);
    }
    this.#running.delete(run);
    run.backing.release();
    run.finish();
  }

  /** Ends the token of a run, unless it has ended. */
  endOf(run: TokenRun, state: "cancelled" | "deleted"): Promise<void> {
    if (run.endedAs !== undefined) return Promise.resolve();
    return state === "cancelled" ? this.cancel(run.slot, "changed") : this.#end(run.slot, "deleted");
  }

  /** Cancels a token that may be live, counted under its reason. */
  cancel(slot: number, reason: CancelReason): Promise<void> {
    if (!this.isLive(slot)) return Promise.resolve();
    this.counters.cancelled[reason] += 1;
    if (reason !== "changed")
      this.#report(`Token ${this.#idOf(slot)} of ${this.#sourceOf(slot)} was given up (${reason}).`);
    return this.#end(slot, "cancelled");
  }

  revoke(slot: number): Promise<void> {
    return this.isLive(slot) ? this.#end(slot, "revoked") : Promise.resolve();
  }

  /** It goes first when space is wanted. */
  hint(slot: number): void {
    if (!this.isLive(slot)) return;
    this.#rows.set(slot, Column.flags, this.#rows.get(slot, Column.flags) | RowFlag.hinted);
    this.#rows.set(slot, Column.rank, HINTED_RANK);
    this.#ranked.moved(slot);
  }

  /** Ends the creator's tokens that are not persistent, a slice a turn. */
  async endCreator(creator: string): Promise<void> {
    const number = this.#creators.numberOf(creator);
    if (number === undefined) return;
    const before = this.nowMs();
    const rows = this.#rows;
    await this.#endAll("revoked", (slot) => {
      if (rows.get(slot, Column.creator) !== number || rows.get(slot, Column.createdAtMs) > before)
        return false;
      return (rows.get(slot, Column.flags) & RowFlag.persistent) === 0;
    });
  }

  /** Cancels all that an origin backs. */
  cancelOrigin(origin: TokenBacking["origin"]): void {
    for (const slot of [...this.#rows.slots()])
      if (this.isLive(slot) && this.#backingOf(slot)?.origin === origin) void this.cancel(slot, "closed");
  }

  async #endAll(state: "revoked" | "deleted", wanted: (slot: number) => boolean): Promise<void> {
    // A pass over a million rows takes a few milliseconds; ending takes more, so that is cut into slices.
    const chosen: number[] = [];
    for (const slot of this.#rows.slots()) if (this.isLive(slot) && wanted(slot)) chosen.push(slot);
    let inTurn = 0;
    for (const slot of chosen) {
      if (this.isLive(slot) && wanted(slot)) void this.#end(slot, state);
      if (++inTurn % TOKENS_PER_TURN === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
  }

  /** Cancels the lowest of the tokens behind which these stand; false when there is none. */
  giveUpOneOf(backings: Iterable<TokenBacking>, reason: CancelReason): boolean {
    let lowest: number | undefined;
    for (const backing of backings) {
      const { slot } = backing;
      if (slot === undefined || this.#backingOf(slot) !== backing) continue;
      if (lowest === undefined || this.#rows.get(slot, Column.rank) < this.#rows.get(lowest, Column.rank))
        lowest = slot;
    }
    if (lowest === undefined) return false;
    void this.cancel(lowest, reason);
    return true;
  }

  isFree(id: Uint8Array): boolean {
    return this.#rows.isFree(word(id, 0), word(id, 4));
  }

  /** Makes room for a token, lowest priority first (T11). TOO_MANY when only higher ones are left */
  async makeRoom(token: { ranges: TokenRanges; policy: ChangePolicy; priority: number }): Promise<void> {
    const { settings } = this;
    const held = token.policy === "reference" ? 0n : BigInt(token.ranges.lengthBytes);
    if (held > BigInt(settings.heldBytesMax)) throw this.#noRoom("held");
    for (let ended = 0; ; ) {
      let reason: CancelReason;
      if (this.counters.live >= settings.countMax) reason = "count";
      else if (this.memoryBytes + besideBytes(token) > settings.memoryBytesMax) {
        if (this.#forgetOldest()) continue;
        reason = "memory";
      } else if (this.#heldBytes + held > BigInt(settings.heldBytesMax)) reason = "held";
      else return;
      this.giveUpLowest(reason, token.priority);
      if (++ended % TOKENS_PER_TURN === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
  }

  /** Cancels the token of the lowest rank. TOO_MANY when there is none that `priority` may push out */
  giveUpLowest(reason: CancelReason, priority: number): Promise<void> {
    const slot = this.#ranked.first;
    if (slot === undefined || this.#rows.get(slot, Column.rank) > priority) throw this.#noRoom(reason);
    return this.cancel(slot, reason);
  }

  /** What all tokens take, by estimate. */
  get memoryBytes(): number {
    const rows = this.counters.live + this.#ended.length - this.#endedFirst;
    return rows * ROW_BYTES_ESTIMATE + this.#besideBytes;
  }

  info(slot: number): TokenInfo {
    const rows = this.#rows;
    const flags = rows.get(slot, Column.flags);
    const [provider, source] = this.#placeOf(slot);
    return {
      id: this.#idOf(slot),
      state: STATES[rows.get(slot, Column.state)]!,
      kind: "data",
      lengthBytes: rows.get(slot, Column.lengthBytes),
      policy: POLICIES[flags & POLICY_BITS]!,
      persistent: (flags & RowFlag.persistent) !== 0,
      deleteOnUse: (flags & RowFlag.deleteOnUse) !== 0,
      priority: rows.get(slot, Column.rank),
      createdAtMs: rows.get(slot, Column.createdAtMs),
      expiresAtMs: rows.get(slot, Column.expiresAtMs),
      inactivityMs: rows.get(slot, Column.inactivityMs),
      uses: rows.get(slot, Column.uses),
      usedAtMs: rows.get(slot, Column.usedAtMs),
      creator: this.#creators.name(rows.get(slot, Column.creator)),
      provider,
      source,
    };
  }

  list(): TokenInfo[] {
    const found: TokenInfo[] = [];
    for (const slot of this.#rows.slots()) if (this.isLive(slot)) found.push(this.info(slot));
    return found.sort((one, other) => one.createdAtMs - other.createdAtMs);
  }

  refuse(code: ErrorCode, sentence: string): RopewalkError {
    return this.#refusal(code, sentence);
  }

  /** No timer runs any more; resolves when all runs have stopped. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await Promise.all([...this.#running].map(({ finished }) => finished));
  }

  // ---- inside ----

  #end(slot: number, state: TokenInfo["state"]): Promise<void> {
    const rows = this.#rows;
    assert(this.isLive(slot), "a token ends once");
    rows.set(slot, Column.state, STATES.indexOf(state));
    const flags = rows.get(slot, Column.flags);
    if (state === "expired") this.counters.expired += 1;
    else if (state === "revoked") this.counters.revoked += 1;
    else if (state === "deleted") this.counters.deleted += 1;
    this.#due.remove(slot);
    this.#ranked.remove(slot);
    const backing = this.#backingOf(slot)!;
    const policy = POLICIES[flags & POLICY_BITS]!;
    if (policy === "invalidate") backing.origin.watched.remove(slot);
    if (policy !== "reference") this.#heldBytes -= BigInt(rows.get(slot, Column.lengthBytes));
    const runs = this.#runs.get(slot);
    this.#runs.delete(slot);
    for (const run of runs ?? []) run.endedAs = this.#errorOf(slot);
    this.#besideBytes -= besideBytes({ ranges: this.#rangesOf(slot), policy });
    this.#ranges.delete(slot);
    this.#backings.release(rows.get(slot, Column.backing));
    rows.set(slot, Column.backing, 0);
    this.counters.live -= 1;
    this.#ended.push(slot);
    while (this.#ended.length - this.#endedFirst > this.settings.endedMax) this.#forgetOldest();
    const running = Promise.all([...(runs ?? [])].map(({ finished }) => finished));
    // Its pin, when it is its own, is gone for good once nobody reads it.
    const { settled } = (flags & RowFlag.persistent) === 0 ? { settled: undefined } : backing;
    return running.then(() => settled);
  }

  #forgetOldest(): boolean {
    if (this.#endedFirst === this.#ended.length) return false;
    const slot = this.#ended[this.#endedFirst++]!;
    this.#creators.release(this.#rows.get(slot, Column.creator));
    this.#sources.release(this.#rows.get(slot, Column.source));
    this.#rows.free(slot);
    if (this.#endedFirst > 1024 && this.#endedFirst * 2 > this.#ended.length) {
      this.#ended = this.#ended.slice(this.#endedFirst);
      this.#endedFirst = 0;
    }
    return true;
  }

  #endIfOver(slot: number): void {
    if (!this.isLive(slot)) return;
    if (this.nowMs() >= this.#dueAt(slot)) void this.#end(slot, "expired");
    else if (this.#isOrphan(slot)) void this.#end(slot, "deleted");
  }

  /** What it was made of is gone, and it does not outlive that. */
  #isOrphan(slot: number): boolean {
    const preserves = (this.#rows.get(slot, Column.flags) & POLICY_BITS) === POLICIES.indexOf("preserve");
    if (preserves && !this.settings.endWithVolume) return false;
    return !this.#backingOf(slot)!.origin.exists();
  }

  #dueAt(slot: number): number {
    const expires = this.#rows.get(slot, Column.expiresAtMs);
    const inactivity = this.#rows.get(slot, Column.inactivityMs);
    if (inactivity === 0) return expires;
    return Math.min(expires, this.#rows.get(slot, Column.usedAtMs) + inactivity);
  }

  #arm(): void {
    const first = this.#due.first;
    if (first === undefined || this.#closed) return;
    const now = this.nowMs();
    const at = Math.min(this.#rows.get(first, Column.dueAtMs), now + SWEEP_MS);
    if (this.#timer !== undefined && this.#timerAtMs <= at) return;
    this.#timer?.cancel();
    this.#timerAtMs = at;
    this.#timer = this.#clock.after(Math.max(1, at - now), () => this.#tick());
  }

  #tick(): void {
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const now = this.nowMs();
    for (let looked = 0; looked < TOKENS_PER_TURN; looked++) {
      const slot = this.#due.first;
      if (slot === undefined || this.#rows.get(slot, Column.dueAtMs) > now) break;
      const due = this.#dueAt(slot);
      if (due <= now) void this.#end(slot, "expired");
      else {
        // It was used since.
        this.#rows.set(slot, Column.dueAtMs, due);
        this.#due.moved(slot);
      }
    }
    this.#endOrphans();
    this.#arm();
  }

  #endOrphans(): void {
    const gone = this.#backings.orphans();
    if (gone.size === 0) return;
    void this.#endAll("deleted", (slot) => gone.has(this.#backingOf(slot)!) && this.#isOrphan(slot));
  }

  #errorOf(slot: number): RopewalkError | undefined {
    switch (STATES[this.#rows.get(slot, Column.state)]!) {
      case "valid":
        return undefined;
      case "expired":
        return new RopewalkError("TOKEN_EXPIRED", "The token's time is over.");
      case "revoked":
        return new RopewalkError("TOKEN_REVOKED", "The token was revoked.");
      case "cancelled":
        return new RopewalkError("TOKEN_CANCELLED", "The token was given up, or its data changed.");
      case "deleted":
        return new RopewalkError(
          "TOKEN_DELETED",
          "The token's use is over, or what it was made of was deleted.",
        );
    }
  }

  #refusal(code: ErrorCode, sentence: string): RopewalkError {
    this.counters.refused += 1;
    return new RopewalkError(code, sentence);
  }

  #noRoom(reason: CancelReason): RopewalkError {
    return this.#refusal("TOO_MANY", `There is no room for another token (${reason}) of this priority.`);
  }

  #backingOf(slot: number): TokenBacking | undefined {
    return this.#backings.get(this.#rows.get(slot, Column.backing));
  }

  #rangesOf(slot: number): TokenRanges {
    const several = this.#ranges.get(slot);
    if (several !== undefined) return several;
    const offsetBytes = this.#rows.get(slot, Column.offsetBytes);
    return new TokenRanges([
      { offsetBytes, lengthBytes: this.#rows.get(slot, Column.lengthBytes) } as ByteRange,
    ]);
  }

  #idOf(slot: number): string {
    const part = (column: Column) => this.#rows.get(slot, column).toString(16).padStart(8, "0");
    return part(Column.idHigh) + part(Column.idLow);
  }

  #placeOf(slot: number): [provider: string, source: string] {
    const text = this.#sources.name(this.#rows.get(slot, Column.source));
    const border = text.indexOf("\n");
    return [text.slice(0, border), text.slice(border + 1)];
  }

  #sourceOf(slot: number): string {
    return this.#placeOf(slot)[1];
  }
}

function besideBytes({ ranges: { ranges }, policy }: Pick<NewToken, "ranges" | "policy">): number {
  const several = ranges.length > 1 ? ranges.length * RANGE_BYTES_ESTIMATE : 0;
  return several + (policy === "invalidate" ? ranges.length * WATCHED_BYTES_ESTIMATE : 0);
}

function word(bytes: Uint8Array, at: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32BE(at);
}

function checkOf(nonce: Uint8Array): number {
  return Buffer.from(nonce.buffer, nonce.byteOffset, nonce.length).readUIntBE(0, 6);
}
