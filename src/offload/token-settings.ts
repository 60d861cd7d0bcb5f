/**
 * The token room's settings with their defaults and bounds.
 * Always holds: `completeTokenSettings` returns values within their bounds, or throws INVALID_ARGUMENT.
 */

import { RopewalkError } from "../base/errors.ts";
import type { ProviderPolicy } from "./token-service.ts";

export interface TokenSettings {
  /** What front ends give tokens whose requestor names no time. */
  readonly ttlMs: number;
  readonly inactivityMs: number;
  /** Longest time to live. */
  readonly ttlMsMax: number;
  /** Live tokens at most. */
  readonly countMax: number;
  /** Memory of live and remembered tokens at most, by a fixed estimate for each (T11). */
  readonly memoryBytesMax: number;
  /** Bytes that live tokens which hold their data stand for, added up, at most; what only they keep alive is less. */
  readonly heldBytesMax: number;
  /** Pins in the pool at most; tokens of one unchanged map share one. */
  readonly pinsMax: number;
  /** Memory for what emulated providers preserve. */
  readonly preservedBytesMax: number;
  /** Bytes that are saved in a second for tokens of emulated providers, at most: the overhead of keeping them (T11). */
  readonly savedBytesPerSecondMax: number;
  /** Bytes that token writes read and write in a second, at most: the cost of their transfers (T11). */
  readonly movedBytesPerSecondMax: number;
  /** Longest that one use of a token may take: the latency of its transfer (T11). */
  readonly transferMsMax: number;
  /** Below this much free space, data of no map, the pool asks for tokens to be given up (T11); 0: never. */
  readonly poolFreeBytesMin: number;
  /** Memory for the checksums that token writes leave on one device without its own; 0: none are kept (T24). */
  readonly checksumBytesMax: number;
  /** Ended tokens that are remembered, so that their holders hear why; older ones are unknown. */
  readonly endedMax: number;
  /** What the end of a token does to a write that runs from it (T12). */
  readonly runningWrites: "finish" | "abort";
  /** A token issued on a protected channel is taken on one that is not (T14). */
  readonly allowUnprotected: boolean;
  /** Tokens that preserve end with what they were made of, too (T10). */
  readonly endWithVolume: boolean;
  /** Tokens end with the session that asked for them; persistent ones do not (T10). */
  readonly endWithSession: boolean;
  /** How one of several providers is chosen where the requestor says nothing of it (T17). */
  readonly choose: ProviderPolicy;
  /** What a companion of which the room knows nothing, or not its primary, does to a token write (T24). */
  readonly unknownCompanions: "fail" | "ignore";
  /** Read at most in search of the blocks that one use of a hash token misses; 0: none is searched for (T23). */
  readonly hashSearchBytes: number;
  /** Where the daemon serves what tokens are made of; see `routesTo` (T13). */
  readonly routes: readonly string[];
}

const MINUTE_MS = 60_000;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

export const DEFAULT_TOKEN_SETTINGS: TokenSettings = {
  ttlMs: 60 * MINUTE_MS,
  inactivityMs: 0,
  ttlMsMax: 7 * 24 * 60 * MINUTE_MS,
  countMax: 1_000_000,
  memoryBytesMax: 512 * MIB,
  heldBytesMax: Number.MAX_SAFE_INTEGER,
  pinsMax: 4096,
  preservedBytesMax: 256 * MIB,
  savedBytesPerSecondMax: Number.MAX_SAFE_INTEGER,
  movedBytesPerSecondMax: Number.MAX_SAFE_INTEGER,
  transferMsMax: Number.MAX_SAFE_INTEGER,
  poolFreeBytesMin: 0,
  checksumBytesMax: 16 * MIB,
  endedMax: 16_384,
  runningWrites: "finish",
  allowUnprotected: false,
  endWithVolume: false,
  endWithSession: false,
  choose: "first",
  unknownCompanions: "fail",
  hashSearchBytes: 16 * GIB,
  routes: [],
};

/** What may be zero. */
const FROM_ZERO: readonly (keyof TokenSettings)[] = [
  "inactivityMs",
  "preservedBytesMax",
  "checksumBytesMax",
  "poolFreeBytesMin",
  "endedMax",
  "hashSearchBytes",
];

export type GivenTokenSettings = { readonly [K in keyof TokenSettings]?: TokenSettings[K] | undefined };

/** INVALID_ARGUMENT */
export function completeTokenSettings(given: GivenTokenSettings): TokenSettings {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  const settings: TokenSettings = { ...DEFAULT_TOKEN_SETTINGS, ...Object.fromEntries(known) };
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== "number") continue;
    const minimum = FROM_ZERO.includes(name as keyof TokenSettings) ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < minimum)
      throw new RopewalkError("INVALID_ARGUMENT", `${name} must be a whole number of at least ${minimum}.`);
  }
  return settings;
}
