/**
 * The layer `stripe`: chunks dealt out to several members in turn (RAID-0). Manual: stripe.md.
 * Errors: INVALID_CONFIG when sizes or blocks do not fit together.
 */
import { type GivenParameters, invalid } from "./parameters.ts";
import { StripeDevice } from "./stripe-device.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const TABLE = {
  chunkBytes: { type: "size", unit: "bytes", minimum: 512, maximum: 64 * 1024 * 1024, default: 65_536 },
} as const;
const MEMBERS_MAX = 64;

/** As a description gives them. */
export type GivenStripeParameters = GivenParameters<typeof TABLE>;

export const stripeLayer: TreeLayerKind<typeof TABLE> = {
  name: "stripe",
  parameters: TABLE,
  membersMin: 1,
  membersMax: MEMBERS_MAX,
  create: (members, { chunkBytes }, { where }) => {
    const sizes = new Set(members.map(({ sizeBytes }) => sizeBytes));
    if (sizes.size > 1) throw invalid(where, `needs members of one size; they have ${[...sizes].join(", ")}`);
    const device = new StripeDevice(members, { chunkBytes });
    const { minimumBlockBytes } = device.geometry;
    if (chunkBytes % minimumBlockBytes !== 0)
      throw invalid(
        where,
        `has chunks of ${chunkBytes} bytes, which are not whole blocks of ${minimumBlockBytes}`,
      );
    if (device.sizeBytes === 0) throw invalid(where, "has members smaller than a chunk");
    if (!Number.isSafeInteger(device.sizeBytes)) throw invalid(where, "is larger than a device can be");
    return device;
  },
};
