/**
 * The token store (T9): every live token, and for a while every ended one, from its first to its last day.
 *
 * Always holds: a token is live until `end` is called once, whoever finds first that it is over; time is the wall
 * clock's at the start and goes on evenly from there, so that a jump of the clock ends nothing.
 * Errors: TOKEN_UNKNOWN with one and the same sentence; TOKEN_EXPIRED, TOKEN_REVOKED, TOKEN_CANCELLED, TOKEN_DELETED,
 * TOKEN_CHANNEL for tokens that verify (T8).
 */
import { assert } from "../base/assert.ts";
import { type ErrorCode, RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import type { Clock, Random } from "../ports/mod.ts";
import type { TokenPart } from "./joined-backing.ts";
import { POOL_PROVIDER } from "./pool-origin.ts";
import { ProviderLoads } from "./provider-loads.ts";
import { RunningTokens } from "./running-tokens.ts";
import { isMadeOf, originsOf, type TokenBacking } from "./token-backing.ts";
import { TOKEN_ID_BYTES, TOKEN_NONCE_BYTES, type TokenBytes, type TokenFields } from "./token-bytes.ts";
import { type CancelReason, TokenCounters } from "./token-counters.ts";
import { TokenDeadlines } from "./token-deadlines.ts";
import { TokenLoad } from "./token-load.ts";
import { TokenPressure } from "./token-pressure.ts";
import { Column } from "./token-rows.ts";
import { TokenRun } from "./token-run.ts";
import type { Revocation, TokenInfo } from "./token-service.ts";
import type { TokenSettings } from "./token-settings.ts";
import { type NewToken, RowFlag, TokenTable } from "./token-table.ts";

/** Tokens that a turn of the loop ends. */
const TOKENS_PER_TURN = 200;

/** Tokens that the pool has given up at a time. */
const TOKENS_PER_REQUEST = 16;

const UNKNOWN = "The token is unknown; ask for a new one or copy plainly.";

const NO_ID = new Uint8Array(TOKEN_ID_BYTES);
const NO_NONCE = new Uint8Array(TOKEN_NONCE_BYTES);

export class TokenLedger {
  readonly counters = new TokenCounters();
  readonly settings: TokenSettings;
  readonly bytes: TokenBytes;
  readonly pressure: TokenPressure;
  readonly load: TokenLoad;
  readonly providers: ProviderLoads;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #report: (sentence: string) => void;
  readonly #startedWallMs: number;
  readonly #startedMs: number;
  readonly #table = new TokenTable();
  readonly #deadlines: TokenDeadlines;
  readonly #running = new RunningTokens();
  /** Ends of persistent tokens that are not durable yet, by slot. */
  readonly #ending = new Map<number, Promise<void>>();
  /** Ended tokens, the oldest from `#endedFirst` on. */
  #ended: number[] = [];
  #endedFirst = 0;

  constructor(options: {
    clock: Clock;
    random: Random;
    settings: TokenSettings;
    bytes: TokenBytes;
    report: (sentence: string) => void;
    /** Whether the pool wants tokens to be given up; asked every few seconds. */
    isPoolShort: () => boolean;
  }) {
    const { clock, settings } = options;
    this.#clock = clock;
    this.#random = options.random;
    this.providers = new ProviderLoads(options.random);
    this.settings = settings;
    this.bytes = options.bytes;
    this.#report = options.report;
    this.#startedWallMs = clock.wallMs();
    this.#startedMs = clock.nowMs();
    this.#deadlines = new TokenDeadlines({
      clock,
      nowMs: () => this.nowMs(),
      rows: this.#table.rows,
      expire: (slot) => void this.#end(slot, "expired"),
      sweep: () => {
        this.#endOrphans();
        if (options.isPoolShort()) this.giveUp({ provider: POOL_PROVIDER, count: TOKENS_PER_REQUEST });
      },
    });
    this.load = new TokenLoad({
      clock,
      settings,
      giveUpRunning: (reason) => void this.#giveUpLowest(this.#running.slots(), reason),
    });
    this.pressure = new TokenPressure({
      clock,
      table: this.#table,
      counters: this.counters,
      settings,
      remembered: () => this.#ended.length - this.#endedFirst,
      forgetOldest: () => this.#forgetOldest(),
      cancel: (slot, reason) => this.cancel(slot, reason),
      refuse: (code, sentence) => this.refuse(code, sentence),
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
      if (this.isFree(id)) return { id, nonce: bytes.subarray(TOKEN_ID_BYTES) };
    }
  }

  isFree(id: Uint8Array): boolean {
    return this.#table.isFree(id);
  }

  /** Takes over one count of `backing`. */
  add(token: NewToken, backing: TokenBacking): void {
    const slot = this.#table.add(token, backing, this.nowMs());
    if (token.policy === "invalidate") backing.origin.watched.add(slot, token.ranges.ranges);
    this.pressure.add(slot);
    this.counters.live += 1;
    this.#deadlines.add(slot);
  }

  /**
   * Makes a part of a token that nobody was told of: it is as if it had never been, and its count of the backing is the
   * caller's. The state's error
   */
  takeApart(slot: number): TokenPart {
    const table = this.#table;
    const error = this.#errorOf(slot);
    if (error !== undefined) throw error;
    const part = { backing: table.backingOf(slot)!, ranges: table.rangesOf(slot) };
    part.backing.hold();
    if (table.policyOf(slot) === "invalidate") part.backing.origin.watched.remove(slot);
    this.#deadlines.remove(slot);
    this.pressure.remove(slot);
    table.drop(slot);
    table.free(slot);
    this.counters.live -= 1;
    return part;
  }

  // ---- finding ----

  /** What a token says that verifies, known or not. TOKEN_UNKNOWN */
  verify(token: Uint8Array): TokenFields {
    const fields = this.bytes.verify(token);
    if (fields !== undefined) return fields;
    this.counters.forged += 1;
    // As for one that verifies and is not known, so that the two take the same time.
    this.#table.find(NO_ID, NO_NONCE);
    this.nowMs();
    throw this.refuse("TOKEN_UNKNOWN", UNKNOWN);
  }

  /** Row of a token that verified, ended or not. TOKEN_UNKNOWN, TOKEN_EXPIRED when it is forgotten */
  find(fields: TokenFields): number {
    const slot = this.#table.find(fields.id, fields.nonce);
    if (slot !== undefined) {
      this.#endIfOver(slot);
      return slot;
    }
    if (this.nowMs() >= fields.expiresAtMs) throw this.refuse("TOKEN_EXPIRED", "The token's time is over.");
    throw this.refuse("TOKEN_UNKNOWN", UNKNOWN);
  }

  /** Row of the token of an id as `info` says it, ended or not. NOT_FOUND */
  findId(id: string): number {
    const slot = this.#table.findId(id);
    if (slot === undefined)
      throw this.refuse(
        "NOT_FOUND",
        `No token that is known has the id ${quoted(id)}; list them for their ids.`,
      );
    this.#endIfOver(slot);
    return slot;
  }

  /** TOKEN_CHANNEL */
  checkChannel(fields: TokenFields, channel: { isProtected: boolean }): void {
    if (channel.isProtected || this.settings.allowUnprotected || !fields.isProtected) return;
    throw this.refuse(
      "TOKEN_CHANNEL",
      "The token was issued on a protected channel and is not taken on this one.",
    );
  }

  info(slot: number): TokenInfo {
    return this.#table.info(slot);
  }

  list(): TokenInfo[] {
    const found = [...this.#table.live()].map((slot) => this.info(slot));
    return found.sort((one, other) => one.createdAtMs - other.createdAtMs);
  }

  refuse(code: ErrorCode, sentence: string): RopewalkError {
    this.counters.refused += 1;
    return new RopewalkError(code, sentence);
  }

  // ---- using ----

  /** Begins a use; ends with `finishRun`. The state's error */
  beginRun(slot: number): TokenRun {
    const table = this.#table;
    const error = this.#errorOf(slot);
    if (error !== undefined) {
      this.counters.refused += 1;
      throw error;
    }
    this.pressure.used(slot, this.nowMs());
    this.counters.used += 1;
    const backing = table.backingOf(slot)!;
    backing.hold();
    const run = new TokenRun({
      ranges: table.rangesOf(slot),
      backing,
      policy: table.policyOf(slot),
      deleteOnUse: table.has(slot, RowFlag.deleteOnUse),
      slot,
      startedMs: this.#clock.nowMs(),
    });
    this.#running.add(run);
    this.providers.began(backing.origin.provider);
    return run;
  }

  finishRun(run: TokenRun): void {
    this.load.goesOn(run);
    this.providers.ended(run.backing.origin.provider);
    this.#running.remove(run);
    run.backing.release();
    run.finish();
  }

  // ---- ending ----

  /** Ends the token of a run, unless it has ended. */
  endOf(run: TokenRun, state: "cancelled" | "deleted"): Promise<void> {
    if (run.endedAs !== undefined) return this.#whenEnded(run.slot);
    return state === "cancelled" ? this.cancel(run.slot, "changed") : this.#end(run.slot, "deleted");
  }

  /** Cancels a token that may be live, counted under its reason. */
  cancel(slot: number, reason: CancelReason): Promise<void> {
    const table = this.#table;
    if (!table.isLive(slot)) return Promise.resolve();
    this.counters.cancelled[reason] += 1;
    if (reason !== "changed")
      this.#report(`Token ${table.idOf(slot)} of ${table.sourceOf(slot)} was given up (${reason}).`);
    return this.#end(slot, "cancelled");
  }

  /** Ends a token, or has it go first when space is wanted; one that has ended stays as it ended. */
  async revoke(slot: number, { strength, as = "revoked" }: Revocation): Promise<void> {
    const isLive = this.#table.isLive(slot);
    if (strength === "mandatory") await (isLive ? this.#end(slot, as) : this.#whenEnded(slot));
    else if (isLive) this.pressure.hint(slot);
  }

  /** Ends the creator's tokens that are not persistent, a slice a turn. */
  async endCreator(creator: string): Promise<void> {
    const table = this.#table;
    const { rows } = table;
    const number = table.creatorNumber(creator);
    if (number === undefined) return;
    const before = this.nowMs();
    await this.#endAll("revoked", (slot) => {
      if (rows.get(slot, Column.creator) !== number || rows.get(slot, Column.createdAtMs) > before)
        return false;
      return !table.has(slot, RowFlag.persistent);
    });
  }

  /** Cancels all that an origin backs. */
  cancelOrigin(origin: TokenBacking["origin"]): void {
    for (const slot of [...this.#table.live()])
      if (originsOf(this.#table.backingOf(slot)!).includes(origin)) void this.cancel(slot, "closed");
  }

  /** Cancels the lowest of the tokens behind which these stand; false when there is none. */
  giveUpOneOf(backings: Iterable<TokenBacking>, reason: CancelReason): boolean {
    const slots: number[] = [];
    for (const backing of backings) {
      const { slot } = backing;
      if (slot !== undefined && isMadeOf(this.#table.backingOf(slot), backing)) slots.push(slot);
    }
    return this.#giveUpLowest(slots, reason);
  }

  #giveUpLowest(slots: Iterable<number>, reason: CancelReason): boolean {
    let lowest: number | undefined;
    for (const slot of slots) if (lowest === undefined || this.#isBelow(slot, lowest)) lowest = slot;
    if (lowest === undefined) return false;
    void this.cancel(lowest, reason);
    return true;
  }

  /** A provider wants to be rid of some of its tokens: the lowest of those that hold data go. Says how many. */
  giveUp({ provider, count }: { provider: string; count: number }): number {
    const table = this.#table;
    const chosen: number[] = [];
    for (const slot of table.live())
      if (table.policyOf(slot) !== "reference" && hasProvider(table.backingOf(slot)!, provider))
        chosen.push(slot);
    chosen.sort((one, other) => (this.#isBelow(one, other) ? -1 : 1));
    chosen.length = Math.min(chosen.length, count);
    for (const slot of chosen) void this.cancel(slot, "provider");
    return chosen.length;
  }

  /** Whether the one goes before the other. */
  #isBelow(one: number, other: number): boolean {
    const { rows } = this.#table;
    const ranks = rows.get(one, Column.rank) - rows.get(other, Column.rank);
    return ranks < 0 || (ranks === 0 && rows.get(one, Column.usedAtMs) < rows.get(other, Column.usedAtMs));
  }

  /** No timer runs any more; resolves when all runs have stopped. */
  async close(): Promise<void> {
    this.#deadlines.close();
    await this.#running.allFinished();
  }

  async #endAll(state: "revoked" | "deleted", wanted: (slot: number) => boolean): Promise<void> {
    const table = this.#table;
    // A pass over a million rows takes a few milliseconds; ending takes more, so that is cut into slices.
    const chosen: number[] = [];
    for (const slot of table.live()) if (wanted(slot)) chosen.push(slot);
    let inTurn = 0;
    for (const slot of chosen) {
      if (table.isLive(slot) && wanted(slot)) void this.#end(slot, state);
      if (++inTurn % TOKENS_PER_TURN === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
  }

  #end(slot: number, state: Exclude<TokenInfo["state"], "valid">): Promise<void> {
    const table = this.#table;
    assert(table.isLive(slot), "a token ends once");
    table.setState(slot, state);
    if (state !== "cancelled") this.counters[state] += 1;
    this.#deadlines.remove(slot);
    this.pressure.remove(slot);
    const backing = table.backingOf(slot)!;
    if (table.policyOf(slot) === "invalidate") backing.origin.watched.remove(slot);
    const running = this.#running.ended(slot, this.#errorOf(slot)!);
    table.drop(slot);
    this.counters.live -= 1;
    // Its pin, when it is its own, is gone for good once nobody reads it.
    const settled = table.has(slot, RowFlag.persistent) ? backing.settled : undefined;
    this.#ended.push(slot);
    while (this.#ended.length - this.#endedFirst > this.settings.endedMax) this.#forgetOldest();
    const ended = running.then(() => settled);
    if (settled !== undefined) {
      this.#ending.set(slot, ended);
      void ended.then(() => {
        if (this.#ending.get(slot) === ended) this.#ending.delete(slot);
      });
    }
    return ended;
  }

  /** An end that somebody else began is told of when it is durable, too. */
  #whenEnded(slot: number): Promise<void> {
    return this.#ending.get(slot) ?? Promise.resolve();
  }

  #forgetOldest(): boolean {
    if (this.#endedFirst === this.#ended.length) return false;
    this.#table.free(this.#ended[this.#endedFirst++]!);
    if (this.#endedFirst > 1024 && this.#endedFirst * 2 > this.#ended.length) {
      this.#ended = this.#ended.slice(this.#endedFirst);
      this.#endedFirst = 0;
    }
    return true;
  }

  #endIfOver(slot: number): void {
    if (!this.#table.isLive(slot)) return;
    if (this.nowMs() >= this.#deadlines.dueAtMs(slot)) void this.#end(slot, "expired");
    else if (this.#isOrphan(slot)) void this.#end(slot, "deleted");
  }

  /** What it was made of is gone, and it does not outlive that. */
  #isOrphan(slot: number): boolean {
    if (this.#table.policyOf(slot) === "preserve" && !this.settings.endWithVolume) return false;
    return !this.#table.backingOf(slot)!.origin.exists();
  }

  #endOrphans(): void {
    const gone = this.#table.orphans();
    if (gone.size === 0) return;
    void this.#endAll("deleted", (slot) => gone.has(this.#table.backingOf(slot)!) && this.#isOrphan(slot));
  }

  #errorOf(slot: number): RopewalkError | undefined {
    switch (this.#table.stateOf(slot)) {
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
          "The token was deleted, its use is over, or what it was made of is gone.",
        );
    }
  }
}

function hasProvider(backing: TokenBacking, provider: string): boolean {
  if (backing.parts === undefined) return backing.origin.provider === provider;
  return originsOf(backing).some((origin) => origin.provider === provider);
}
