/** What a target can do that keeps everything. */
import type { TargetAbilities } from "../threads/connection.ts";

export const ABILITIES: TargetAbilities = {
  extendedAttributes: true,
  accessControlLists: true,
  deviceNodes: true,
  ownership: true,
  foldsCase: false,
  modeBits: 0o7777,
  timeStepNanoseconds: 1,
  nameBytesMax: 255,
  freeBytes: 1e9,
};
