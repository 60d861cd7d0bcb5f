/**
 * What is kept of each token, live or remembered: its row, and what stands beside the rows.
 *
 * Always holds: a slot is one token's from `add` to `free`; after `drop` it has no backing, ranges or notes beside its row,
 * but still says who it was. Columns that order tokens belong to `TokenDeadlines` and `TokenPressure`.
 */
import type { ChangePolicy } from "../device/mod.ts";
import { BackingTable } from "./backing-table.ts";
import { SharedNames } from "./shared-names.ts";
import type { TokenBacking } from "./token-backing.ts";
import { NOTES_BYTES_ESTIMATE, type TokenNotes } from "./token-notes.ts";
import { TokenRanges } from "./token-ranges.ts";
import { Column, TokenRows } from "./token-rows.ts";
import type { TokenInfo } from "./token-service.ts";

export const RowFlag = {
  persistent: 8,
  deleteOnUse: 16,
  isProtected: 32,
  severalRanges: 64,
  hinted: 128,
} as const;
export type RowFlag = (typeof RowFlag)[keyof typeof RowFlag];
const POLICY_BITS = 7;
const POLICIES: readonly ChangePolicy[] = ["preserve", "invalidate", "reference"];
const STATES: readonly TokenInfo["state"][] = ["valid", "expired", "revoked", "cancelled", "deleted"];

/** A range beside the rows. */
const RANGE_BYTES_ESTIMATE = 96;
/** A range that is watched. */
const WATCHED_BYTES_ESTIMATE = 320;

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
  readonly notes?: TokenNotes | undefined;
}

export class TokenTable {
  readonly rows = new TokenRows();
  /** Ranges of tokens that have several. */
  readonly #ranges = new Map<number, TokenRanges>();
  /** Of tokens that have some. */
  readonly #notes = new Map<number, TokenNotes>();
  readonly #backings = new BackingTable();
  readonly #creators = new SharedNames();
  /** Sources and providers of tokens, the two in a line each. */
  readonly #sources = new SharedNames();
  #besideBytes = 0;

  /** Memory of what stands beside the rows, by estimate. */
  get besideBytes(): number {
    return this.#besideBytes;
  }

  /** Takes over one count of `backing`. */
  add(token: NewToken, backing: TokenBacking, usedAtMs: number): number {
    const { rows } = this;
    const slot = rows.add(word(token.id, 0), word(token.id, 4));
    const { ranges } = token;
    if ("slot" in backing) backing.slot = slot;
    rows.set(slot, Column.check, checkOf(token.nonce));
    rows.set(slot, Column.lengthBytes, ranges.lengthBytes);
    rows.set(slot, Column.offsetBytes, ranges.ranges[0]!.offsetBytes);
    rows.set(slot, Column.createdAtMs, token.createdAtMs);
    rows.set(slot, Column.expiresAtMs, token.expiresAtMs);
    rows.set(slot, Column.inactivityMs, token.inactivityMs);
    rows.set(slot, Column.usedAtMs, usedAtMs);
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
    if (ranges.ranges.length > 1) this.#ranges.set(slot, ranges);
    if (token.notes !== undefined) this.#notes.set(slot, token.notes);
    this.#besideBytes += besideBytes(token);
    rows.set(slot, Column.backing, this.#backings.add(backing));
    rows.set(slot, Column.creator, this.#creators.hold(token.creator));
    const { provider, description } = backing.origin;
    rows.set(slot, Column.source, this.#sources.hold(`${provider}\n${description}`));
    return slot;
  }

  /** A token that ended: gives up its count of the backing. */
  drop(slot: number): void {
    const notes = this.#notes.get(slot);
    this.#besideBytes -= besideBytes({ ranges: this.rangesOf(slot), policy: this.policyOf(slot), notes });
    this.#ranges.delete(slot);
    this.#notes.delete(slot);
    this.#backings.release(this.rows.get(slot, Column.backing));
    this.rows.set(slot, Column.backing, 0);
  }

  /** A token that was dropped is forgotten. */
  free(slot: number): void {
    this.#creators.release(this.rows.get(slot, Column.creator));
    this.#sources.release(this.rows.get(slot, Column.source));
    this.rows.free(slot);
  }

  find(id: Uint8Array, nonce: Uint8Array): number | undefined {
    const slot = this.rows.find(word(id, 0), word(id, 4));
    return slot !== undefined && this.rows.get(slot, Column.check) === checkOf(nonce) ? slot : undefined;
  }

  /** By the 16 hexadecimal digits of its id alone. */
  findId(id: string): number | undefined {
    if (!/^[0-9a-f]{16}$/.test(id)) return undefined;
    return this.rows.find(Number.parseInt(id.slice(0, 8), 16), Number.parseInt(id.slice(8), 16));
  }

  /** Whether no token that is known has the id. */
  isFree(id: Uint8Array): boolean {
    return this.rows.isFree(word(id, 0), word(id, 4));
  }

  isLive(slot: number): boolean {
    return this.rows.get(slot, Column.state) === 0;
  }

  *live(): Generator<number> {
    for (const slot of this.rows.slots()) if (this.isLive(slot)) yield slot;
  }

  stateOf(slot: number): TokenInfo["state"] {
    return STATES[this.rows.get(slot, Column.state)]!;
  }

  setState(slot: number, state: TokenInfo["state"]): void {
    this.rows.set(slot, Column.state, STATES.indexOf(state));
  }

  has(slot: number, flag: RowFlag): boolean {
    return (this.rows.get(slot, Column.flags) & flag) !== 0;
  }

  mark(slot: number, flag: RowFlag): void {
    this.rows.set(slot, Column.flags, this.rows.get(slot, Column.flags) | flag);
  }

  policyOf(slot: number): ChangePolicy {
    return POLICIES[this.rows.get(slot, Column.flags) & POLICY_BITS]!;
  }

  backingOf(slot: number): TokenBacking | undefined {
    return this.#backings.get(this.rows.get(slot, Column.backing));
  }

  /** Backings whose origin is no more. */
  orphans(): Set<TokenBacking> {
    return this.#backings.orphans();
  }

  rangesOf(slot: number): TokenRanges {
    const several = this.#ranges.get(slot);
    if (several !== undefined) return several;
    const offsetBytes = this.rows.get(slot, Column.offsetBytes);
    return new TokenRanges([{ offsetBytes, lengthBytes: this.rows.get(slot, Column.lengthBytes) }]);
  }

  idOf(slot: number): string {
    const part = (column: Column) => this.rows.get(slot, column).toString(16).padStart(8, "0");
    return part(Column.idHigh) + part(Column.idLow);
  }

  sourceOf(slot: number): string {
    return this.#placeOf(slot)[1];
  }

  /** As `Column.creator` has it; undefined: no token has this creator. */
  creatorNumber(creator: string): number | undefined {
    return this.#creators.numberOf(creator);
  }

  info(slot: number): TokenInfo {
    const { rows } = this;
    const [provider, source] = this.#placeOf(slot);
    return {
      id: this.idOf(slot),
      state: this.stateOf(slot),
      kind: "data",
      lengthBytes: rows.get(slot, Column.lengthBytes),
      policy: this.policyOf(slot),
      persistent: this.has(slot, RowFlag.persistent),
      deleteOnUse: this.has(slot, RowFlag.deleteOnUse),
      priority: rows.get(slot, Column.rank),
      createdAtMs: rows.get(slot, Column.createdAtMs),
      expiresAtMs: rows.get(slot, Column.expiresAtMs),
      inactivityMs: rows.get(slot, Column.inactivityMs),
      uses: rows.get(slot, Column.uses),
      usedAtMs: rows.get(slot, Column.usedAtMs),
      creator: this.#creators.name(rows.get(slot, Column.creator)),
      provider,
      source,
      ...this.#notes.get(slot),
    };
  }

  #placeOf(slot: number): [provider: string, source: string] {
    const text = this.#sources.name(this.rows.get(slot, Column.source));
    const border = text.indexOf("\n");
    return [text.slice(0, border), text.slice(border + 1)];
  }
}

/** Memory beside the rows that such a token takes, by estimate. */
export function besideBytes(token: Pick<NewToken, "ranges" | "policy" | "notes">): number {
  const { ranges } = token.ranges;
  const several = ranges.length > 1 ? ranges.length * RANGE_BYTES_ESTIMATE : 0;
  const watched = token.policy === "invalidate" ? ranges.length * WATCHED_BYTES_ESTIMATE : 0;
  return several + watched + (token.notes === undefined ? 0 : NOTES_BYTES_ESTIMATE);
}

function word(bytes: Uint8Array, at: number): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32BE(at);
}

function checkOf(nonce: Uint8Array): number {
  return Buffer.from(nonce.buffer, nonce.byteOffset, nonce.length).readUIntBE(0, 6);
}
