/**
 * Builds stacks out of what the daemon has: its own volumes, files of its machine, NBD exports of others.
 *
 * Always holds: a member is opened as a client would open it, with its layers, meter and token copies; a file of the
 * daemon's own data directory is no member, since a stack on it would overwrite the pool.
 * Errors: INVALID_CONFIG with the place in the description, and what opening the members throws.
 */
import { RopewalkError } from "../base/errors.ts";
import { formatMapName, quoted } from "../base/object-name.ts";
import { type BlockDevice, buildDeviceTree, filesOf, type LayerWorld, volumesOf } from "../device/mod.ts";
import type { TokenService } from "../offload/mod.ts";
import type { Exports } from "./exports.ts";
import type { BuiltStack, StackBuilder } from "./stacked-volumes.ts";

export interface StackMembers {
  /** An absolute path. */
  openFile(path: string): Promise<BlockDevice>;
  openNbd(uri: string): Promise<BlockDevice>;
  /** Whether the file belongs to the daemon itself. */
  isOwnFile(path: string): Promise<boolean>;
}

export function makeStackBuilder(options: {
  /** Asked when a member is opened. */
  exports: () => Exports;
  members: StackMembers;
  tokens: TokenService | undefined;
  world: LayerWorld;
}): StackBuilder {
  const { exports, members, tokens, world } = options;
  const build = (
    name: string,
    description: unknown,
    frozenView: (place: { name: string }, view: BlockDevice) => void,
  ): Promise<BlockDevice> =>
    buildDeviceTree(description, {
      frozenView,
      openVolume: async (member) => exports().open(member),
      openFile: async (path) => {
        if (!(await members.isOwnFile(path))) return members.openFile(path);
        throw new RopewalkError(
          "INVALID_CONFIG",
          `The stack ${quoted(name)} cannot stand on ${quoted(path)}, a file of the data directory.`,
        );
      },
      openNbd: (uri) => members.openNbd(uri),
      emulate: (device, id) =>
        tokens?.emulatedOver(device, {
          id: `${name}/${id}`,
          description: `${id} of ${name}`,
          // A stack of the same name that stands on something else has other contents.
          lastingName: JSON.stringify(description),
        }) ?? device,
      world,
    });
  // A layer may hide the token copies of what is below it; whoever uses the stack must not notice.
  const withTokens = (device: BlockDevice, name: string): BlockDevice =>
    device.offload ? device : (tokens?.emulatedOver(device, { id: name, description: name }) ?? device);
  return {
    members: volumesOf,
    files: filesOf,
    async build(name, description): Promise<BuiltStack> {
      const views = new Map<string, BlockDevice>();
      const tree = await build(name, description, (place, view) => void views.set(place.name, view));
      for (const [snapshot, view] of views)
        views.set(snapshot, withTokens(view, formatMapName({ volume: name, snapshot })));
      return { device: withTokens(tree, name), views };
    },
  };
}
