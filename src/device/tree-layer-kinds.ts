/**
 * Every layer that a device tree may have: those of several members, and those that also lie over a single volume.
 * Always holds: names differ.
 */

import { cacheLayer } from "./layers/cache.ts";
import { copiesLayer } from "./layers/copies.ts";
import { deferLayer } from "./layers/defer.ts";
import type { LayerKind } from "./layers/layer.ts";
import type { ParameterTable } from "./layers/parameters.ts";
import { partitionLayer } from "./layers/partition.ts";
import { snapshotLayer } from "./layers/snapshot.ts";
import { spanLayer } from "./layers/span.ts";
import { stripeLayer } from "./layers/stripe.ts";
import type { TreeLayerKind } from "./layers/tree-layer.ts";
import { verifyLayer } from "./layers/verify.ts";
import { LAYER_KINDS } from "./stack.ts";

export const TREE_LAYER_KINDS: readonly TreeLayerKind<ParameterTable>[] = [
  partitionLayer as unknown as TreeLayerKind<ParameterTable>,
  spanLayer as unknown as TreeLayerKind<ParameterTable>,
  stripeLayer as unknown as TreeLayerKind<ParameterTable>,
  copiesLayer as unknown as TreeLayerKind<ParameterTable>,
  cacheLayer as unknown as TreeLayerKind<ParameterTable>,
  deferLayer as unknown as TreeLayerKind<ParameterTable>,
  verifyLayer as unknown as TreeLayerKind<ParameterTable>,
  snapshotLayer as unknown as TreeLayerKind<ParameterTable>,
  ...LAYER_KINDS.map(inTree),
];

/** A layer over openings, as one over a single member that all share. */
function inTree(kind: LayerKind<ParameterTable>): TreeLayerKind<ParameterTable> {
  return {
    name: kind.name,
    parameters: kind.parameters,
    membersMin: 1,
    membersMax: 1,
    create: ([member], parameters, { world }) => kind.create(parameters, world).over(member!),
  };
}
