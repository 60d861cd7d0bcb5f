/** The operations of a block device, as layers' parameters name them. */
export const OPERATIONS = [
  "read",
  "write",
  "zero",
  "trim",
  "flush",
  "extents",
  "offloadRead",
  "offloadWrite",
] as const;

export type Operation = (typeof OPERATIONS)[number];
