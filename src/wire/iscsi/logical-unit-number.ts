/**
 * LUNs of eight bytes (SAM-5, 4.7), here as two words of 32 bits.
 *
 * Always holds: only single-level LUNs of peripheral (bus 0) and flat space addressing have a number; other forms,
 * well-known logical units among them, have none.
 */

export interface WireLun {
  readonly high: number;
  readonly low: number;
}

const PERIPHERAL_LUNS = 256;
const LUNS_MAX = 16384;

/** The number that a LUN stands for; undefined for a form without one. */
export function lunNumber(high: number, low: number): number | undefined {
  if (low !== 0 || (high & 0xffff) !== 0) return undefined;
  const method = high >>> 30;
  if (method === 1) return (high >>> 16) & 0x3fff;
  const isBusZero = method === 0 && ((high >>> 24) & 0x3f) === 0;
  return isBusZero ? (high >>> 16) & 0xff : undefined;
}

/** Peripheral addressing below 256, flat space above. Undefined beyond what either can say. */
export function lunWords(number: number): WireLun | undefined {
  if (!Number.isInteger(number) || number < 0 || number >= LUNS_MAX) return undefined;
  const field = number < PERIPHERAL_LUNS ? number : 0x4000 | number;
  return { high: (field << 16) >>> 0, low: 0 };
}
