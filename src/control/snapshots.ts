/**
 * What can be done with snapshots: make, look, delete, go back to, compare.
 *
 * Always holds: names were checked before the pool sees them; whether a change is possible (clients, clones,
 * taken names) the pool decides in the very moment of the change.
 * Errors: INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, and the codes named at each method.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName, formatMapName, quoted } from "../base/object-name.ts";
import type { Difference, MapRef, SnapshotInfo, VolumeInfo } from "../pool/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import type { StackedVolumes } from "./stacked-volumes.ts";

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
  readonly #stacks: StackedVolumes | undefined;

  constructor(pool: ControlledPool, stacks?: StackedVolumes) {
    this.#pool = pool;
    this.#stacks = stacks;
  }

  /** All of a volume's, or of every volume, oldest first. */
  list(volume?: string): SnapshotInfo[] {
    if (volume !== undefined) checkName("volume", volume);
    return this.#pool.snapshots(volume);
  }

  show(volume: string, name: string): SnapshotInfo {
    checkName("volume", volume);
    return this.#pool.snapshot(volume, checkName("snapshot", name));
  }

  /** The volume frozen as it is now; durable when it resolves. ALREADY_EXISTS; UNSUPPORTED of a stack */
  async create(volume: string, name: string): Promise<SnapshotInfo> {
    if (this.#stacks?.has(volume))
      throw new RopewalkError(
        "UNSUPPORTED",
        `Volume ${quoted(volume)} is a stack and has no snapshots; what it stands on may.`,
      );
    return this.#pool.createSnapshot(checkName("volume", volume), checkName("snapshot", name));
  }

  /** IN_USE, HAS_CLONES */
  async delete(volume: string, name: string): Promise<void> {
    checkName("volume", volume);
    checkName("snapshot", name);
    this.#stacks?.checkUnused(formatMapName({ volume, snapshot: name }));
    await this.#pool.deleteSnapshot(volume, name);
  }

  /** The volume becomes what the snapshot holds; newer snapshots stay. IN_USE */
  async rollback(volume: string, name: string): Promise<VolumeInfo> {
    checkName("volume", volume);
    checkName("snapshot", name);
    this.#stacks?.checkUnused(volume);
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
