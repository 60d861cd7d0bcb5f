/**
 * What block front ends serve: every volume, read-write, and every snapshot and every frozen view of a stack as
 * VOLUME@SNAPSHOT, read-only.
 *
 * Always holds: an opened device is the volume, with token copies where there is a token room, under its configured
 * layers under a measuring one, so all paths share one room (T15); maps of what changed or is shared come straight
 * from the pool and cover the asked range from its start without gaps.
 * Errors: VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_NAME.
 */
import { formatMapName, type MapName, parseMapName } from "../base/object-name.ts";
import type { BlockDevice } from "../device/mod.ts";
import type { TokenService } from "../offload/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { MeasuredDevice } from "./measured-device.ts";
import type { StackedVolumes } from "./stacked-volumes.ts";
import { VolumeMeter } from "./volume-meter.ts";

export interface ExportSummary {
  /** `VOLUME` or `VOLUME@SNAPSHOT`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly isWritable: boolean;
}

/** A stretch of a device and its value in some map, stretches standing one behind the other. */
export interface Stretch<Value> {
  readonly lengthBytes: number;
  readonly value: Value;
}

export interface MapQuery {
  readonly export: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly stretchesMax: number;
}

/** Puts the configured layers on a freshly opened device. */
export type Stack = (volume: string, device: BlockDevice) => BlockDevice;

export class Exports {
  readonly #pool: ControlledPool;
  readonly #clock: Clock;
  readonly #stack: Stack;
  readonly #tokens: TokenService | undefined;
  readonly #stacks: StackedVolumes | undefined;
  readonly #meters = new Map<string, VolumeMeter>();

  constructor(options: {
    pool: ControlledPool;
    clock: Clock;
    stack: Stack;
    tokens?: TokenService | undefined;
    stacks?: StackedVolumes | undefined;
  }) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.#stack = options.stack;
    this.#tokens = options.tokens;
    this.#stacks = options.stacks;
  }

  /** Every export, volumes first. */
  list(): ExportSummary[] {
    return [
      ...this.#pool.volumes().map(({ name, sizeBytes }) => ({ name, sizeBytes, isWritable: true })),
      ...(this.#stacks?.list().map(({ name, sizeBytes }) => ({ name, sizeBytes, isWritable: true })) ?? []),
      ...this.#pool.snapshots().map(({ volume, name: snapshot, sizeBytes }) => {
        return { name: formatMapName({ volume, snapshot }), sizeBytes, isWritable: false };
      }),
      ...(this.#stacks?.listViews() ?? []).map(({ volume, name: snapshot, sizeBytes }) => {
        return { name: formatMapName({ volume, snapshot }), sizeBytes, isWritable: false };
      }),
    ];
  }

  show(name: string): ExportSummary {
    const map = parseMapName(name);
    return { name, sizeBytes: this.#shown(map).sizeBytes, isWritable: map.snapshot === undefined };
  }

  #shown({ volume, snapshot }: MapName): { sizeBytes: number } {
    if (this.#stacks?.has(volume))
      return snapshot === undefined ? this.#stacks.show(volume) : this.#stacks.showView(volume, snapshot);
    return snapshot === undefined ? this.#pool.volume(volume) : this.#pool.snapshot(volume, snapshot);
  }

  /** Opens for a client, which counts as connected until it closes the device. */
  open(name: string): BlockDevice {
    const map = parseMapName(name);
    const { volume, snapshot } = map;
    if (this.#stacks?.has(volume)) {
      const of = this.#stacks;
      const opened = snapshot === undefined ? of.open(volume) : of.openView(volume, snapshot);
      return this.#measured(name, this.#stack(volume, opened));
    }
    const opened =
      snapshot === undefined ? this.#pool.openVolume(volume) : this.#pool.openSnapshot(volume, snapshot);
    const device = this.#tokens?.overPool(map, opened) ?? opened;
    return this.#measured(name, this.#stack(volume, device));
  }

  /** A stack or a frozen view of one, no map of the pool: there are no changes to compare. */
  isStack(name: string): boolean {
    return this.#stacks?.has(parseMapName(name).volume) ?? false;
  }

  /** Snapshots of the export's volume, which its changes can be asked against; not the export itself. */
  comparableSnapshots(name: string): string[] {
    const { volume, snapshot: own } = parseMapName(name);
    return this.#pool
      .snapshots(volume)
      .map((snapshot) => snapshot.name)
      .filter((snapshot) => snapshot !== own);
  }

  /** How many maps below the range's data is. */
  async allocationDepth(query: MapQuery): Promise<Stretch<number>[]> {
    const map = mapOf(parseMapName(query.export));
    const extents = await this.#pool.allocationDepth(
      map,
      query.offsetBytes,
      query.lengthBytes,
      query.stretchesMax,
    );
    return extents.map(({ lengthBytes, depth }) => ({ lengthBytes, value: depth }));
  }

  /** Where the export differs from a snapshot of its volume. */
  async changesSince(snapshot: string, query: MapQuery): Promise<Stretch<boolean>[]> {
    const map = parseMapName(query.export);
    const end = query.offsetBytes + query.lengthBytes;
    const stretches: Stretch<boolean>[] = [];
    let at = query.offsetBytes;
    const append = (until: number, value: boolean): void => {
      if (until <= at) return;
      const last = stretches.at(-1);
      if (last?.value === value)
        stretches.splice(-1, 1, { lengthBytes: last.lengthBytes + until - at, value });
      else stretches.push({ lengthBytes: until - at, value });
      at = until;
    };
    const differences = this.#pool.difference({
      from: { volume: map.volume, snapshot },
      to: mapOf(map),
      offset: query.offsetBytes,
      length: query.lengthBytes,
    });
    for await (const { offsetBytes, lengthBytes } of differences) {
      append(Math.min(offsetBytes, end), false);
      append(Math.min(offsetBytes + lengthBytes, end), true);
      // One more than asked for: only then is the last one that is kept known to be whole.
      if (stretches.length > query.stretchesMax) break;
    }
    if (stretches.length <= query.stretchesMax) append(end, false);
    return stretches.slice(0, query.stretchesMax);
  }

  /** Meters of everything that was ever opened and still exists, by export name. */
  meters(): ReadonlyMap<string, VolumeMeter> {
    const names = new Set(this.list().map(({ name }) => name));
    for (const name of this.#meters.keys()) if (!names.has(name)) this.#meters.delete(name);
    return this.#meters;
  }

  #measured(name: string, device: BlockDevice): BlockDevice {
    return new MeasuredDevice({ device, meter: this.#meterOf(name), clock: this.#clock });
  }

  #meterOf(name: string): VolumeMeter {
    let meter = this.#meters.get(name);
    if (!meter) this.#meters.set(name, (meter = new VolumeMeter()));
    return meter;
  }
}

function mapOf({ volume, snapshot }: MapName): { volume: string; snapshot?: string } {
  return snapshot === undefined ? { volume } : { volume, snapshot };
}
