/**
 * The layer `cache`: blocks in memory, written below later. Manual: cache.md.
 * Errors: INVALID_CONFIG when the device below cannot flush, or the blocks do not fit it.
 */
import { CacheDevice } from "./cache-device.ts";
import { type GivenParameters, invalid } from "./parameters.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const TABLE = {
  bytesMax: {
    type: "size",
    unit: "bytes",
    minimum: 65_536,
    maximum: 2 ** 40,
    default: 64 * 1024 * 1024,
  },
  blockBytes: { type: "size", unit: "bytes", minimum: 512, maximum: 1024 * 1024, default: 65_536 },
} as const;
/** So that a request always finds room beside others. */
const BLOCKS_MIN = 4;

/** As a description gives them. */
export type GivenCacheParameters = GivenParameters<typeof TABLE>;

export const cacheLayer: TreeLayerKind<typeof TABLE> = {
  name: "cache",
  parameters: TABLE,
  membersMin: 1,
  membersMax: 1,
  create: ([member], { bytesMax, blockBytes }, { where }) => {
    const { geometry, capabilities } = member!;
    if (!Number.isInteger(Math.log2(blockBytes)))
      throw invalid(where, `has blocks of ${blockBytes} bytes, which is no power of two`);
    if (blockBytes < geometry.minimumBlockBytes || blockBytes > geometry.maximumRequestBytes)
      throw invalid(where, `has blocks of ${blockBytes} bytes, which its member does not take`);
    if (bytesMax < BLOCKS_MIN * blockBytes)
      throw invalid(where, `has room for fewer than ${BLOCKS_MIN} blocks`);
    if (capabilities.writable && capabilities.flush === "absent")
      throw invalid(where, "cannot keep writes for a member that cannot flush");
    return new CacheDevice(member!, { bytesMax, blockBytes });
  },
};
