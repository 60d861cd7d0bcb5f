/**
 * Devices made of others, from a description: a tree of layers whose leaves are volumes, files and NBD exports.
 *
 * Always holds: the whole description is checked before anything is opened; devices open from the inside out and
 * close from the outside in, also when a later one cannot be opened; a leaf that is named twice is opened once; the
 * shim stands around every device. Whether a stack names itself is for the caller to see: `volumesOf`.
 * Errors: INVALID_CONFIG with the place in the description; those of opening the leaves.
 */
import { RopewalkError } from "../base/errors.ts";
import { parseMapName, quoted } from "../base/object-name.ts";
import type { BlockDevice } from "./block-device.ts";
import { checkDevice } from "./checked-device.ts";
import type { LayerWorld } from "./layers/layer.ts";
import {
  asList,
  asObject,
  invalid,
  type Parameters,
  type ParameterTable,
  parseParameters,
} from "./layers/parameters.ts";
import type { FrozenViewPlace, TreeLayerKind } from "./layers/tree-layer.ts";
import { SharedDevice } from "./shared-device.ts";
import { TREE_LAYER_KINDS } from "./tree-layer-kinds.ts";

const DEPTH_MAX = 16;
const NODES_MAX = 256;
const TEXT_LENGTH_MAX = 4096;

export interface DeviceTreeOptions {
  /** `VOLUME` or `VOLUME@SNAPSHOT`; snapshots are opened read-only. */
  readonly openVolume: (name: string) => Promise<BlockDevice>;
  /** An absolute path. */
  readonly openFile: (path: string) => Promise<BlockDevice>;
  readonly openNbd: (uri: string) => Promise<BlockDevice>;
  /** Gives a device without token copies such ones, kept beside it (T19). `id` names the leaf. */
  readonly emulate: (device: BlockDevice, id: string) => BlockDevice;
  readonly world: LayerWorld;
  /** Told of the frozen views that layers `snapshot` keep, each of another name. */
  readonly frozenView?: (place: FrozenViewPlace, view: BlockDevice) => void;
}

type LeafKind = "volume" | "file" | "nbd";

interface Leaf {
  readonly leaf: LeafKind;
  readonly name: string;
}

interface LayerNode {
  readonly kind: TreeLayerKind<ParameterTable>;
  readonly parameters: Parameters<ParameterTable>;
  readonly members: readonly TreeNode[];
  readonly where: string;
}

type TreeNode = Leaf | LayerNode;

/** The device that `description` (not yet checked) describes, behind the shim; it owns what it opened. */
export async function buildDeviceTree(
  description: unknown,
  options: DeviceTreeOptions,
): Promise<BlockDevice> {
  return await new TreeBuilder(options).build(parseTree(description));
}

/** INVALID_CONFIG unless the description is one that `buildDeviceTree` takes. Opens nothing. */
export function checkDeviceTree(description: unknown): void {
  parseTree(description);
}

/** Names of the volumes and snapshots (`VOLUME@SNAPSHOT`) that it is made of, each once. INVALID_CONFIG */
export function volumesOf(description: unknown): string[] {
  return leavesOf(parseTree(description), "volume");
}

/** Absolute paths of the files that it is made of, each once. INVALID_CONFIG */
export function filesOf(description: unknown): string[] {
  return leavesOf(parseTree(description), "file");
}

function leavesOf(tree: TreeNode, kind: LeafKind): string[] {
  const names = new Set<string>();
  const visit = (node: TreeNode): void => {
    if ("leaf" in node) {
      if (node.leaf === kind) names.add(node.name);
    } else node.members.forEach(visit);
  };
  visit(tree);
  return [...names];
}

function parseTree(description: unknown): TreeNode {
  return new TreeParser().parse(description, "stack", 1);
}

class TreeParser {
  #nodes = 0;

  parse(value: unknown, where: string, depth: number): TreeNode {
    if (depth > DEPTH_MAX) throw invalid(where, `is nested deeper than ${DEPTH_MAX}`);
    if (++this.#nodes > NODES_MAX) throw invalid(where, `is one more than the ${NODES_MAX} devices allowed`);
    const given = asObject(value, where);
    if (Object.hasOwn(given, "layer")) return this.#layer(given, where, depth);
    const keys = Object.keys(given);
    if (keys.length !== 1 || !isLeafKind(keys[0]!))
      throw invalid(where, "must have a layer, or exactly one of volume, file, nbd");
    return { leaf: keys[0], name: leafName(keys[0], given[keys[0]], `${where}.${keys[0]}`) };
  }

  #layer(given: Readonly<Record<string, unknown>>, where: string, depth: number): LayerNode {
    const { layer: name, member, members, ...parameters } = given;
    const kind = TREE_LAYER_KINDS.find((candidate) => candidate.name === name);
    if (kind === undefined) {
      const known = TREE_LAYER_KINDS.map((candidate) => candidate.name).join(", ");
      const named = typeof name === "string" ? `names the layer ${quoted(name)}` : "names no layer";
      throw invalid(where, `${named}; known are ${known}`);
    }
    return {
      kind,
      parameters: parseParameters(kind.parameters, parameters, { where }),
      members: this.#members(kind, { member, members }, where, depth),
      where,
    };
  }

  #members(
    kind: TreeLayerKind<ParameterTable>,
    { member, members }: { member: unknown; members: unknown },
    where: string,
    depth: number,
  ): TreeNode[] {
    if (kind.membersMax === 1) {
      if (members !== undefined) throw invalid(where, `has members; ${kind.name} has one member`);
      if (member === undefined) throw invalid(where, "has no member");
      return [this.parse(member, `${where}.member`, depth + 1)];
    }
    if (member !== undefined) throw invalid(where, `has a member; ${kind.name} has a list of members`);
    if (members === undefined) throw invalid(where, "has no members");
    const list = asList(members, kind.membersMax, `${where}.members`);
    if (list.length < kind.membersMin)
      throw invalid(
        `${where}.members`,
        `has ${list.length} entries; ${kind.name} needs ${kind.membersMin} or more`,
      );
    return list.map((each, index) => this.parse(each, `${where}.members[${index}]`, depth + 1));
  }
}

function isLeafKind(key: string): key is LeafKind {
  return key === "volume" || key === "file" || key === "nbd";
}

function leafName(kind: LeafKind, value: unknown, where: string): string {
  if (typeof value !== "string" || value.length > TEXT_LENGTH_MAX || value.includes("\0"))
    throw invalid(where, `must be a text of at most ${TEXT_LENGTH_MAX} characters`);
  if (kind === "file" && !value.startsWith("/")) throw invalid(where, "must be an absolute path");
  if (kind === "nbd" && !/^nbd(\+unix)?:\/\//.test(value))
    throw invalid(where, "must begin with nbd:// or nbd+unix://");
  if (kind !== "volume") return value;
  try {
    parseMapName(value);
  } catch (cause) {
    throw new RopewalkError("INVALID_CONFIG", `${where}: ${(cause as Error).message}`, { cause });
  }
  return value;
}

class TreeBuilder {
  readonly #options: DeviceTreeOptions;
  readonly #leaves = new Map<string, SharedDevice>();
  readonly #views = new Set<string>();

  constructor(options: DeviceTreeOptions) {
    this.#options = options;
  }

  async build(node: TreeNode): Promise<BlockDevice> {
    if ("leaf" in node) return checkDevice(await this.#leaf(node));
    const members: BlockDevice[] = [];
    try {
      for (const member of node.members) members.push(await this.build(member));
      const { world } = this.#options;
      const frozenView = (place: FrozenViewPlace, view: BlockDevice) => this.#frozenView(place, view);
      return checkDevice(
        await node.kind.create(members, node.parameters, { world, where: node.where, frozenView }),
      );
    } catch (error) {
      await Promise.allSettled(members.map((member) => member.close()));
      throw error;
    }
  }

  #frozenView(place: FrozenViewPlace, view: BlockDevice): void {
    const { name, where } = place;
    if (this.#views.has(name))
      throw invalid(where, `calls its view ${quoted(name)}, as another layer of the stack does`);
    this.#views.add(name);
    this.#options.frozenView?.(place, view);
  }

  async #leaf({ leaf, name }: Leaf): Promise<BlockDevice> {
    const id = `${leaf}:${name}`;
    // When its openings were closed by a failure elsewhere, nothing more is opened: the whole tree fails.
    const present = this.#leaves.get(id);
    if (present !== undefined) return present.open();
    const { openVolume, openFile, openNbd, emulate } = this.#options;
    const open = { volume: openVolume, file: openFile, nbd: openNbd }[leaf];
    const device = await open(name);
    const shared = new SharedDevice(device.offload === undefined ? emulate(device, id) : device);
    this.#leaves.set(id, shared);
    return shared.open();
  }
}
