/**
 * The layer `span`: several members one behind the other. Manual: span.md.
 * Errors: INVALID_CONFIG when the members together are larger than a device can be.
 */
import { invalid } from "./parameters.ts";
import { SpanDevice } from "./span-device.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const TABLE = {} as const;
const MEMBERS_MAX = 64;

export const spanLayer: TreeLayerKind<typeof TABLE> = {
  name: "span",
  parameters: TABLE,
  membersMin: 1,
  membersMax: MEMBERS_MAX,
  create: (members, _parameters, { where }) => {
    const device = new SpanDevice(members);
    if (!Number.isSafeInteger(device.sizeBytes)) throw invalid(where, "is larger than a device can be");
    return device;
  },
};
