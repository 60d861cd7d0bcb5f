/**
 * The directories of this machine that other daemons' synchronizations may write to: each by name, with a key of its own.
 *
 * Always holds: a key is made here, told once and never shown again; a directory is one name's only, and no local
 * synchronization's. Errors: NOT_FOUND, ALREADY_EXISTS, TOO_MANY, INVALID_NAME, INVALID_ARGUMENT, TARGET_IN_USE.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName, quoted } from "../base/object-name.ts";
import type { Clock, Random } from "../ports/mod.ts";
import {
  type FilesyncTargetDefinition,
  formatDefinition,
  parseFilesyncTarget,
} from "./filesync-definition.ts";
import { absolutePath } from "./filesync-destination.ts";
import { FILESYNC_KEY_BYTES, formatFilesyncKey, parseFilesyncKey } from "./filesync-key.ts";
import { checkFree, knownPath, lookAtTarget, type WrittenRoot } from "./filesync-roots.ts";
import type { FilesyncMachine } from "./filesync-world.ts";
import type { KeptTexts } from "./stacked-volumes.ts";

const TARGETS_MAX = 1024;

export interface FilesyncTargetInfo {
  readonly name: string;
  readonly root: string;
  readonly createdAtMs: number;
}

/** What a connection that names a target is let in by. */
export interface ReceivingRoot {
  readonly root: string;
  readonly key: Uint8Array;
}

export interface FilesyncTargetsWorld {
  readonly definitions: KeptTexts;
  readonly machine: Pick<FilesyncMachine, "lookAt" | "makeDirectory">;
  readonly clock: Clock;
  readonly random: Random;
  readonly dataDirectory: string;
  /** Does work while no synchronization is added, with what they write to. */
  readonly besideSynchronizations: <Result>(
    work: (written: readonly WrittenRoot[]) => Promise<Result>,
  ) => Promise<Result>;
  /** A target's connections end, and nothing writes to its root any more when this resolves. */
  readonly closeRoot: (name: string) => Promise<void>;
}

export class FilesyncTargets {
  readonly #world: FilesyncTargetsWorld;
  readonly #targets = new Map<string, FilesyncTargetDefinition>();

  constructor(world: FilesyncTargetsWorld) {
    this.#world = world;
  }

  /** INVALID_CONFIG when a file is damaged */
  async load(): Promise<void> {
    const { definitions } = this.#world;
    for (const name of await definitions.list()) {
      const text = await definitions.read(name);
      if (text !== undefined) this.#targets.set(checkName("target", name), parseFilesyncTarget(name, text));
    }
  }

  /** By name; never with the keys. */
  list(): FilesyncTargetInfo[] {
    return [...this.#targets.keys()].sort().map((name) => infoOf(name, this.#targets.get(name)!));
  }

  find(name: string): ReceivingRoot | undefined {
    const target = this.#targets.get(name);
    return target && { root: target.root, key: parseFilesyncKey(target.key) };
  }

  /** It is durable when this resolves; the key is told here and nowhere else. */
  add(wish: { readonly name: string; readonly root: string }): Promise<FilesyncTargetInfo & { key: string }> {
    const name = checkName("target", wish.name);
    const root = absolutePath("root", wish.root);
    const { machine, clock, random, definitions, dataDirectory, besideSynchronizations } = this.#world;
    return besideSynchronizations(async (written) => {
      if (this.#targets.has(name))
        throw new RopewalkError("ALREADY_EXISTS", `There is a target ${quoted(name)} already.`);
      if (this.#targets.size >= TARGETS_MAX)
        throw new RopewalkError("TOO_MANY", `There are ${TARGETS_MAX} targets already; delete one first.`);
      const { path, kind } = await lookAtTarget(machine.lookAt, root);
      const { path: data } = await machine.lookAt(dataDirectory);
      checkFree(path, { written: [...written, ...(await this.roots())], data });
      if (kind === "absent") await machine.makeDirectory(root);
      const key = formatFilesyncKey(random.bytes(FILESYNC_KEY_BYTES));
      const target = { createdAtMs: clock.wallMs(), root, key };
      await definitions.write(name, formatDefinition(target));
      this.#targets.set(name, target);
      return { ...infoOf(name, target), key };
    });
  }

  /** Nobody may write to it any more; what stands in it stays. */
  async delete(name: string): Promise<void> {
    await this.#world.besideSynchronizations(async () => {
      const target = this.#targets.get(name);
      if (target === undefined) throw new RopewalkError("NOT_FOUND", `There is no target ${quoted(name)}.`);
      await this.#world.definitions.remove(name);
      this.#targets.delete(name);
      await this.#world.closeRoot(name);
    });
  }

  /** All roots as they are called without symbolic links. */
  async roots(): Promise<WrittenRoot[]> {
    const roots: WrittenRoot[] = [];
    for (const [name, { root }] of this.#targets) {
      const path = await knownPath(this.#world.machine.lookAt, root);
      roots.push({ owner: `whoever has the key of the target ${quoted(name)}`, source: undefined, path });
    }
    return roots;
  }
}

function infoOf(name: string, { root, createdAtMs }: FilesyncTargetDefinition): FilesyncTargetInfo {
  return { name, root, createdAtMs };
}
