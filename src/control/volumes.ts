/**
 * What can be done with volumes.
 *
 * Always holds: names and sizes were checked before the pool sees them; whether a change is possible (clients,
 * snapshots, clones, taken names) the pool decides in the very moment of the change.
 * Errors: INVALID_NAME, INVALID_SIZE, and the codes named at each method.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName, checkVolumeSize, quoted } from "../base/object-name.ts";
import type { VolumeInfo } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import type { StackedVolumes } from "./stacked-volumes.ts";

/** A volume of the pool, or a stack. */
export interface AnyVolumeInfo extends VolumeInfo {
  /** The tree of a stack, as it was described. */
  readonly stack?: unknown;
}

export class Volumes {
  readonly #pool: ControlledPool;
  readonly #stacks: StackedVolumes | undefined;

  constructor(pool: ControlledPool, stacks?: StackedVolumes) {
    this.#pool = pool;
    this.#stacks = stacks;
  }

  /** All volumes, by name. */
  list(): AnyVolumeInfo[] {
    const volumes = this.#pool.volumes();
    const stacks = this.#stacks?.list() ?? [];
    if (stacks.length === 0) return volumes;
    return [...volumes, ...stacks].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** VOLUME_NOT_FOUND */
  show(name: string): AnyVolumeInfo {
    checkName("volume", name);
    return this.#stacks?.has(name) ? this.#stacks.show(name) : this.#pool.volume(name);
  }

  /** A thin volume that reads as zeros. ALREADY_EXISTS, NO_SPACE */
  async create({ name, sizeBytes }: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    checkName("volume", name);
    checkVolumeSize(sizeBytes);
    return this.#claimed(name, () => this.#pool.createVolume({ name, sizeBytes }));
  }

  /** A stack: a tree of layers over what is there. ALREADY_EXISTS, INVALID_CONFIG, TOO_MANY, and those of its members */
  async createStack({ name, stack }: { name: string; stack: unknown }): Promise<AnyVolumeInfo> {
    if (this.#stacks) return this.#stacks.create(name, stack);
    throw new RopewalkError("UNSUPPORTED", "This daemon keeps no stacks.");
  }

  /** Grows or shrinks. VOLUME_NOT_FOUND; IN_USE when it would shrink under connected clients. */
  async resize(name: string, sizeBytes: number): Promise<VolumeInfo> {
    checkVolumeSize(sizeBytes);
    this.#checkOwnData(name, "resized");
    if (sizeBytes < this.#pool.volume(name).sizeBytes) this.#stacks?.checkUnused(name);
    return this.#pool.resizeVolume(name, sizeBytes);
  }

  /** VOLUME_NOT_FOUND, IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async delete(name: string): Promise<void> {
    checkName("volume", name);
    if (this.#stacks?.has(name)) return this.#stacks.delete(name);
    this.#stacks?.checkUnused(name);
    await this.#pool.deleteVolume(name);
  }

  /** A writable copy of a volume as it is now, or of one of its snapshots. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, ALREADY_EXISTS */
  async clone(options: { source: string; snapshot?: string | undefined; name: string }): Promise<VolumeInfo> {
    const { source, snapshot, name } = options;
    this.#checkOwnData(source, "cloned");
    checkName("volume", name);
    if (snapshot !== undefined) checkName("snapshot", snapshot);
    return this.#claimed(name, () =>
      this.#pool.cloneVolume({ source, name, ...(snapshot === undefined ? {} : { snapshot }) }),
    );
  }

  /** Makes a clone independent in name too: what it was cloned from may be deleted. VOLUME_NOT_FOUND */
  async detach(name: string): Promise<VolumeInfo> {
    this.#checkOwnData(name, "detached");
    return this.#pool.detachVolume(name);
  }

  /** INVALID_NAME; UNSUPPORTED for a stack, whose data is its members'. */
  #checkOwnData(name: string, verb: string): void {
    if (!this.#stacks?.has(checkName("volume", name))) return;
    throw new RopewalkError(
      "UNSUPPORTED",
      `Volume ${quoted(name)} is a stack and cannot be ${verb}; what it stands on can.`,
    );
  }

  #claimed<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    return this.#stacks ? this.#stacks.claim(name, work) : work();
  }
}
