/**
 * What can be done with volumes.
 *
 * Always holds: names and sizes were checked before the pool sees them; whether a change is possible (clients,
 * snapshots, clones, taken names) the pool decides in the very moment of the change.
 * Errors: INVALID_NAME, INVALID_SIZE, and the codes named at each method.
 */
import { checkName, checkVolumeSize } from "../base/object-name.ts";
import type { VolumeInfo } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";

export class Volumes {
  readonly #pool: ControlledPool;

  constructor(pool: ControlledPool) {
    this.#pool = pool;
  }

  /** All volumes, by name. */
  list(): VolumeInfo[] {
    return this.#pool.volumes();
  }

  /** VOLUME_NOT_FOUND */
  show(name: string): VolumeInfo {
    return this.#pool.volume(checkName("volume", name));
  }

  /** A thin volume that reads as zeros. ALREADY_EXISTS, NO_SPACE */
  async create({ name, sizeBytes }: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    checkName("volume", name);
    checkVolumeSize(sizeBytes);
    return this.#pool.createVolume({ name, sizeBytes });
  }

  /** Grows or shrinks. VOLUME_NOT_FOUND; IN_USE when it would shrink under connected clients. */
  async resize(name: string, sizeBytes: number): Promise<VolumeInfo> {
    checkVolumeSize(sizeBytes);
    return this.#pool.resizeVolume(checkName("volume", name), sizeBytes);
  }

  /** VOLUME_NOT_FOUND, IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async delete(name: string): Promise<void> {
    await this.#pool.deleteVolume(checkName("volume", name));
  }

  /** A writable copy of a volume as it is now, or of one of its snapshots. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, ALREADY_EXISTS */
  async clone(options: { source: string; snapshot?: string | undefined; name: string }): Promise<VolumeInfo> {
    const { source, snapshot, name } = options;
    checkName("volume", source);
    checkName("volume", name);
    if (snapshot !== undefined) checkName("snapshot", snapshot);
    return this.#pool.cloneVolume({ source, name, ...(snapshot === undefined ? {} : { snapshot }) });
  }

  /** Makes a clone independent in name too: what it was cloned from may be deleted. VOLUME_NOT_FOUND */
  async detach(name: string): Promise<VolumeInfo> {
    return this.#pool.detachVolume(checkName("volume", name));
  }
}
