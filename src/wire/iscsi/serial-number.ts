/**
 * Serial numbers of 32 bits that wrap around (RFC 7143, 4.2.2.1; RFC 1982): CmdSN, StatSN, DataSN.
 * Always holds: the distance of two numbers is taken on the shorter way round.
 */

/** The number `distance` (which may be negative) behind `serial`. */
export function serialPlus(serial: number, distance: number): number {
  return (serial + distance) >>> 0;
}

/** How far `later` is behind `earlier`: -2^31 to 2^31 - 1. */
export function serialDistance(earlier: number, later: number): number {
  return (later - earlier) | 0;
}
