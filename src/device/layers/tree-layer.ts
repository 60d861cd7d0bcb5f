/**
 * What a layer of a device tree is: made once over its members, which may be several, and shared by whoever opens
 * the tree. (A layer of `layer.ts` has one device below and lies over each opening of it.)
 */
import type { BlockDevice } from "../block-device.ts";
import type { LayerWorld } from "./layer.ts";
import type { Parameters, ParameterTable } from "./parameters.ts";

export interface TreeLayerContext {
  readonly world: LayerWorld;
  /** The layer's place in the description, for messages: `members[0].member`. */
  readonly where: string;
  /** Takes the frozen view of a layer that keeps one; read-only, and ends with the tree. INVALID_CONFIG when the name is taken */
  readonly frozenView: (place: FrozenViewPlace, view: BlockDevice) => void;
}

/** Which of a tree's frozen views it is. */
export interface FrozenViewPlace {
  /** Of the view, as of a snapshot. */
  readonly name: string;
  /** The layer's place in the description. */
  readonly where: string;
}

export interface TreeLayerKind<Table extends ParameterTable> {
  readonly name: string;
  readonly parameters: Table;
  readonly membersMin: number;
  /** 1: the description has `member`, else `members`. */
  readonly membersMax: number;
  /** The device over `members`, which are behind the shim; it owns and closes them. INVALID_CONFIG */
  create(
    members: readonly BlockDevice[],
    parameters: Parameters<Table>,
    context: TreeLayerContext,
  ): BlockDevice | Promise<BlockDevice>;
}
