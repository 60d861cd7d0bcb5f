/**
 * Builds stacks out of what the daemon has: its own volumes, files of its machine, NBD exports of others.
 *
 * Always holds: a member is opened as a client would open it, with its layers, meter and token copies; a file of the
 * daemon's own data directory is no member, since a stack on it would overwrite the pool.
 * Errors: INVALID_CONFIG with the place in the description, and what opening the members throws.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import { type BlockDevice, buildDeviceTree, filesOf, type LayerWorld, volumesOf } from "../device/mod.ts";
import type { TokenService } from "../offload/mod.ts";
import type { Exports } from "./exports.ts";
import type { StackBuilder } from "./stacked-volumes.ts";

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
  const build = (name: string, description: unknown): Promise<BlockDevice> =>
    buildDeviceTree(description, {
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
        tokens?.emulatedOver(device, { id: `${name}/${id}`, description: `${id} of ${name}` }) ?? device,
      world,
    });
  return {
    members: volumesOf,
    files: filesOf,
    async build(name, description) {
      const tree = await build(name, description);
      // A layer may hide the token copies of what is below it; whoever uses the stack must not notice.
      return tree.offload ? tree : (tokens?.emulatedOver(tree, { id: name, description: name }) ?? tree);
    },
  };
}
