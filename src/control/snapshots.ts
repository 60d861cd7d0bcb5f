/**
 * What can be done with snapshots: make, look, delete, go back to, compare.
 *
 * Always holds: names were checked before the pool sees them; a snapshot that clients read or clones came from
 * is not deleted; a volume with connected clients is not rolled back.
 * Errors: INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, and the codes named at each method.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName, formatMapName } from "../base/object-name.ts";
import type { Difference, MapRef, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { connections } from "./volumes.ts";

export interface DifferenceQuery {
  readonly volume: string;
  /** The older map, a snapshot of the volume. */
  readonly from: string;
  /** The newer map, a snapshot of the volume; the volume as it is now when absent. */
  readonly to?: string | undefined;
  readonly offsetBytes?: number | undefined;
  readonly lengthBytes?: number | undefined;
}

export class Snapshots {
  readonly #pool: ControlledPool;

  constructor(pool: ControlledPool) {
    this.#pool = pool;
  }

  /** All of a volume's, or of every volume, oldest first. */
  list(volume?: string): SnapshotInfo[] {
    if (volume !== undefined) this.#pool.volume(checkName("volume", volume));
    return this.#pool.snapshots(volume).sort((a, b) => a.sequence - b.sequence || a.id - b.id);
  }

  show(volume: string, name: string): SnapshotInfo {
    checkName("volume", volume);
    return this.#pool.snapshot(volume, checkName("snapshot", name));
  }

  /** The volume frozen as it is now; durable when it resolves. ALREADY_EXISTS */
  async create(volume: string, name: string): Promise<SnapshotInfo> {
    this.#pool.volume(checkName("volume", volume));
    checkName("snapshot", name);
    if (this.#pool.snapshots(volume).some((snapshot) => snapshot.name === name))
      throw new RopewalkError("ALREADY_EXISTS", `Volume ${volume} already has a snapshot ${name}.`);
    return this.#pool.createSnapshot(volume, name);
  }

  /** IN_USE, HAS_CLONES */
  async delete(volume: string, name: string): Promise<void> {
    const snapshot = this.show(volume, name);
    const title = formatMapName({ volume, snapshot: name });
    if (snapshot.clients > 0)
      throw new RopewalkError(
        "IN_USE",
        `Snapshot ${title} has ${connections(snapshot.clients)}; disconnect before deleting it.`,
      );
    if (snapshot.clones > 0)
      throw new RopewalkError(
        "HAS_CLONES",
        `${snapshot.clones} clone${snapshot.clones === 1 ? " was" : "s were"} made of ${title}; delete or detach first.`,
      );
    await this.#pool.deleteSnapshot(volume, name);
  }

  /** The volume becomes what the snapshot holds; newer snapshots stay. IN_USE */
  async rollback(volume: string, name: string): Promise<VolumeInfo> {
    this.show(volume, name);
    const { clients } = this.#pool.volume(volume);
    if (clients > 0)
      throw new RopewalkError(
        "IN_USE",
        `Volume ${volume} has ${connections(clients)}; disconnect before rolling it back.`,
      );
    return this.#pool.rollback(volume, name);
  }

  /** Ranges where the newer map differs from the older, in order. Refusals come before the first range. INVALID_RANGE */
  difference(query: DifferenceQuery): AsyncIterable<Difference> {
    const from = { volume: query.volume, snapshot: query.from };
    this.show(from.volume, from.snapshot);
    const to: MapRef =
      query.to === undefined ? { volume: query.volume } : { volume: query.volume, snapshot: query.to };
    if (query.to !== undefined) this.show(query.volume, query.to);
    return this.#pool.difference({
      from,
      to,
      ...(query.offsetBytes === undefined ? {} : { offset: query.offsetBytes }),
      ...(query.lengthBytes === undefined ? {} : { length: query.lengthBytes }),
    });
  }
}
