/**
 * The layer `verify`: reads are held against checksums kept in memory. Manual: verify.md.
 * Errors: INVALID_CONFIG when the blocks do not fit the device below.
 */
import { type GivenParameters, invalid } from "./parameters.ts";
import type { TreeLayerKind } from "./tree-layer.ts";
import { VerifyDevice } from "./verify-device.ts";

const TABLE = {
  blockBytes: { type: "size", unit: "bytes", minimum: 512, maximum: 1024 * 1024, default: 4096 },
  bytesMax: {
    type: "size",
    unit: "bytes",
    minimum: 65_536,
    maximum: 1024 * 1024 * 1024,
    default: 64 * 1024 * 1024,
  },
} as const;

/** As a description gives them. */
export type GivenVerifyParameters = GivenParameters<typeof TABLE>;

export const verifyLayer: TreeLayerKind<typeof TABLE> = {
  name: "verify",
  parameters: TABLE,
  membersMin: 1,
  membersMax: 1,
  create: ([member], { blockBytes, bytesMax }, { where }) => {
    const { minimumBlockBytes } = member!.geometry;
    if (!Number.isInteger(Math.log2(blockBytes)))
      throw invalid(where, `has blocks of ${blockBytes} bytes, which is no power of two`);
    if (blockBytes < minimumBlockBytes)
      throw invalid(where, `has blocks smaller than its member's of ${minimumBlockBytes} bytes`);
    return new VerifyDevice(member!, { blockBytes, bytesMax });
  },
};
