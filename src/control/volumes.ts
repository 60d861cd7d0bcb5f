/**
 * What can be done with volumes.
 *
 * Always holds: names and sizes were checked before the pool sees them; a volume that clients are connected to
 * is neither deleted nor shrunk; one that has snapshots is not deleted.
 * Errors: INVALID_NAME, INVALID_SIZE, and the codes named at each method.
 */
import { RopewalkError } from "../base/errors.ts";
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
    return this.#pool.volumes().sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** VOLUME_NOT_FOUND */
  show(name: string): VolumeInfo {
    return this.#pool.volume(checkName("volume", name));
  }

  /** A thin volume that reads as zeros. ALREADY_EXISTS, NO_SPACE */
  async create({ name, sizeBytes }: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    checkName("volume", name);
    checkVolumeSize(sizeBytes);
    this.#refuseTakenName(name);
    return this.#pool.createVolume({ name, sizeBytes });
  }

  /** Grows or shrinks. VOLUME_NOT_FOUND; IN_USE when it would shrink under connected clients. */
  async resize(name: string, sizeBytes: number): Promise<VolumeInfo> {
    checkVolumeSize(sizeBytes);
    const volume = this.show(name);
    if (sizeBytes < volume.sizeBytes && volume.clients > 0)
      throw new RopewalkError(
        "IN_USE",
        `Volume ${name} has ${connections(volume.clients)}; disconnect before shrinking it, growing is possible.`,
      );
    return this.#pool.resizeVolume(name, sizeBytes);
  }

  /** VOLUME_NOT_FOUND, IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async delete(name: string): Promise<void> {
    const volume = this.show(name);
    if (volume.clients > 0)
      throw new RopewalkError(
        "IN_USE",
        `Volume ${name} has ${connections(volume.clients)}; disconnect before deleting it.`,
      );
    if (volume.snapshots > 0)
      throw new RopewalkError(
        "HAS_SNAPSHOTS",
        `Volume ${name} has ${volume.snapshots} snapshot${volume.snapshots === 1 ? "" : "s"}; delete them first.`,
      );
    await this.#pool.deleteVolume(name);
  }

  /** A writable copy of a volume as it is now, or of one of its snapshots. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, ALREADY_EXISTS */
  async clone(options: { source: string; snapshot?: string | undefined; name: string }): Promise<VolumeInfo> {
    const { source, snapshot, name } = options;
    checkName("volume", source);
    checkName("volume", name);
    if (snapshot === undefined) this.#pool.volume(source);
    else this.#pool.snapshot(source, checkName("snapshot", snapshot));
    this.#refuseTakenName(name);
    return this.#pool.cloneVolume({ source, name, ...(snapshot === undefined ? {} : { snapshot }) });
  }

  /** Makes a clone independent in name too: what it was cloned from may be deleted. VOLUME_NOT_FOUND */
  async detach(name: string): Promise<VolumeInfo> {
    this.show(name);
    return this.#pool.detachVolume(name);
  }

  /** Said here too, so that the sentence is good; the pool itself has the last word. */
  #refuseTakenName(name: string): void {
    if (this.#pool.volumes().some((volume) => volume.name === name))
      throw new RopewalkError("ALREADY_EXISTS", `There is already a volume ${name}.`);
  }
}

/** "1 client connected", "3 clients connected". */
export function connections(clients: number): string {
  return `${clients} client${clients === 1 ? "" : "s"} connected`;
}
