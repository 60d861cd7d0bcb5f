/**
 * The layer `copies`: the same bytes on every member (RAID-1). Manual: copies.md.
 * Errors: INVALID_CONFIG when sizes do not fit, or the regions are too many to be kept in memory.
 */
import { CopiesDevice } from "./copies-device.ts";
import { type GivenParameters, invalid } from "./parameters.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const AT_OPEN = ["compare", "trust"] as const;

const TABLE = {
  regionBytes: {
    type: "size",
    unit: "bytes",
    minimum: 65_536,
    maximum: 1024 * 1024 * 1024,
    default: 1024 * 1024,
  },
  retryMs: { type: "number", unit: "ms", minimum: 10, maximum: 3_600_000, default: 10_000 },
  atOpen: { type: "choice", choices: AT_OPEN, default: "compare" },
} as const;
const MEMBERS_MAX = 8;
/** Each is a bit in a map for each member and two more: 16 MiB each. */
const REGIONS_MAX = 2 ** 27;

/** As a description gives them. */
export type GivenCopiesParameters = GivenParameters<typeof TABLE>;

export const copiesLayer: TreeLayerKind<typeof TABLE> = {
  name: "copies",
  parameters: TABLE,
  membersMin: 2,
  membersMax: MEMBERS_MAX,
  create: (members, { regionBytes, retryMs, atOpen }, { where, world }) => {
    const sizes = new Set(members.map(({ sizeBytes }) => sizeBytes));
    if (sizes.size > 1) throw invalid(where, `needs members of one size; they have ${[...sizes].join(", ")}`);
    const [sizeBytes = 0] = sizes;
    if (sizeBytes / regionBytes > REGIONS_MAX)
      throw invalid(where, `has more than ${REGIONS_MAX} regions; make regionBytes larger`);
    const { minimumBlockBytes } = members[0]!.geometry;
    if (regionBytes % minimumBlockBytes !== 0)
      throw invalid(where, `has regions of ${regionBytes} bytes, which are not whole blocks`);
    return new CopiesDevice(members, { regionBytes, retryMs, where, world, areEqual: atOpen === "trust" });
  },
};
