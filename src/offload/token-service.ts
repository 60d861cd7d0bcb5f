/**
 * What front ends and use cases ask of the token room: one service for all volumes, stacks and paths of a daemon, so
 * that a token from one path is good on every other (T15).
 *
 * Always holds: tokens are 512 bytes; a token that does not verify is TOKEN_UNKNOWN whatever is wrong with it, and only
 * one that verifies is told TOKEN_EXPIRED, TOKEN_REVOKED, TOKEN_CANCELLED or TOKEN_DELETED (T8).
 */
import type { BlockDevice, ChangePolicy, ProviderChoice, TokenJoiner } from "../device/mod.ts";
import type { TokenNotes } from "./token-notes.ts";

export const TOKEN_BYTES = 512;

/** How one of several providers is chosen where the requestor names none (T17). */
export const PROVIDER_POLICIES = [
  "first",
  "last",
  "random",
  "least-loaded",
  "most-efficient",
  "lowest-latency",
] as const;
export type ProviderPolicy = (typeof PROVIDER_POLICIES)[number];

export interface Revocation {
  /** `mandatory`: resolves when it is over; `hint`: it may live on until space is wanted. */
  readonly strength: "mandatory" | "hint";
  /** What its holders hear from then on; `revoked` when absent. Whoever deletes a token on request says `deleted`. */
  readonly as?: "revoked" | "deleted";
}

/** With what its requestor noted of it, if anything (T13). */
export interface TokenInfo extends TokenNotes {
  /** The copy manager's token id, 16 hexadecimal digits. */
  readonly id: string;
  readonly state: "valid" | "expired" | "revoked" | "cancelled" | "deleted";
  readonly kind: "data" | "zero" | "hash";
  readonly lengthBytes: number;
  readonly policy: ChangePolicy;
  readonly persistent: boolean;
  readonly deleteOnUse: boolean;
  readonly priority: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly inactivityMs: number;
  readonly uses: number;
  readonly usedAtMs: number;
  readonly creator: string;
  /** The provider that keeps it. */
  readonly provider: string;
  /** What it was made of: `VOLUME` or `VOLUME@SNAPSHOT`, or a device's description. */
  readonly source: string;
}

/** A map of the pool that a device stands for. */
export interface PoolMap {
  readonly volume: string;
  readonly snapshot?: string;
}

export interface TokenService {
  /** `base` (an opening of that map, taken over) with native token copies: reads bind pins, writes graft. */
  overPool(map: PoolMap, base: BlockDevice): BlockDevice;
  /**
   * `base` with token copies that this layer keeps: data is preserved by copying what is about to be overwritten (T19).
   * `lastingName` names its contents: checksums that token writes leave there outlive its openings under that name and
   * id, where the room has files for them (T24).
   */
  emulatedOver(
    base: BlockDevice,
    options: { id: string; description: string; lastingName?: string | undefined },
  ): BlockDevice;
  /** TOKEN_UNKNOWN; an ended token shows its state. */
  show(token: Uint8Array, channel: { isProtected: boolean }): TokenInfo;
  list(): TokenInfo[];
  /** Fills `target` from the token's data at `offset` (T25); returns the bytes that lie inside the token, the rest of `target` is zeros. */
  read(
    token: Uint8Array,
    offset: number,
    target: Uint8Array,
    channel: { isProtected: boolean },
  ): Promise<number>;
  /** Makes one token of several, for requestors that take only one (T5). */
  readonly joiner: TokenJoiner;
  /** Writes that run: see the setting (T12). One that has ended stays as it ended. */
  revoke(token: Uint8Array, options: Revocation): Promise<void>;
  /** The same by the id that the list shows, for who may do so without having the token. NOT_FOUND */
  revokeId(id: string, options: Revocation): Promise<void>;
  /** The well-known token of zeros (T16). */
  readonly zeroToken: Uint8Array;
  /**
   * One of a device's providers, which are named from the outside in, by a policy or the configured one. The first is
   * whoever serves first, so that copies give their alternatives; the others are one provider.
   */
  chooseProvider(providers: readonly string[], policy?: ProviderPolicy): ProviderChoice;
  /** A provider wants to be rid of so many of its tokens: the lowest that hold data go (T11). Says how many went. */
  giveUp(wanted: { provider: string; count: number }): number;
  /** What belonged to an initiator's session or a client ends, as configured (T10). */
  endCreator(creator: string): void;
  close(): Promise<void>;
}
