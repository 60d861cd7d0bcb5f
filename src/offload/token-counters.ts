/** Counts of the token room since it was opened; all but `live` only grow. */

export const CANCEL_REASONS = [
  "changed",
  "count",
  "memory",
  "held",
  "pins",
  "preserved",
  "overhead",
  "cost",
  "latency",
  "provider",
  "closed",
] as const;

/** Why a token was cancelled: its data changed, a limit was met, its provider asked for it, or its device is gone. */
export type CancelReason = (typeof CANCEL_REASONS)[number];

export class TokenCounters {
  created = 0;
  /** Token writes and reads through tokens that were begun. */
  used = 0;
  expired = 0;
  revoked = 0;
  /** One use over, or the source deleted. */
  deleted = 0;
  readonly cancelled: Record<CancelReason, number> = {
    changed: 0,
    count: 0,
    memory: 0,
    held: 0,
    pins: 0,
    preserved: 0,
    overhead: 0,
    cost: 0,
    latency: 0,
    provider: 0,
    closed: 0,
  };
  /** Requests for tokens or with tokens that were refused, whatever the reason. */
  refused = 0;
  /** Of these, with bytes that no token of ours has. */
  forged = 0;
  live = 0;
  /** Bytes of data read and written for token writes. */
  bytesMoved = 0;
}
