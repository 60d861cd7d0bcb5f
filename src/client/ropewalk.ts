/**
 * The library: typed calls to a daemon.
 *
 *     const ropewalk = await connect({ dataDirectory: "./ropewalk-data" });
 *     await ropewalk.volumes.create({ name: "disk", sizeBytes: 10 * 2 ** 30 });
 *     await ropewalk.snapshots.create("disk", "before");
 *
 * Errors: every call rejects with a RopewalkError; its `code` is one of docs/errors.md.
 */
import type {
  ChangePoolJson,
  CollectionJson,
  CreateVolumeJson,
  DifferenceJson,
  PoolJson,
  ScrubJson,
  ScrubWorkJson,
  SnapshotJson,
  StatusJson,
  VolumeJson,
} from "../frontend/http/mod.ts";
import { ApiCaller, snapshotPath, volumePath } from "./api-call.ts";
import { type ConnectOptions, findDaemon, type ReadText } from "./daemon-address.ts";
import { readDifferences } from "./difference-stream.ts";
import { followWork, type LongCallOptions } from "./long-call.ts";

/** Finds the daemon and asks nothing yet. UNREACHABLE, INVALID_ARGUMENT */
export async function connectThrough(readText: ReadText, options: ConnectOptions): Promise<Ropewalk> {
  return new Ropewalk(new ApiCaller(await findDaemon(options, readText)));
}

export class Ropewalk {
  readonly volumes: VolumeCalls;
  readonly snapshots: SnapshotCalls;
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
    this.volumes = new VolumeCalls(caller);
    this.snapshots = new SnapshotCalls(caller);
  }

  /** State of the daemon and its pool. */
  status(): Promise<StatusJson> {
    return this.#caller.call("GET", "/status");
  }

  /** Changes settings of the running pool, such as its size. INVALID_SIZE, INVALID_ARGUMENT */
  changePool(change: ChangePoolJson): Promise<PoolJson> {
    return this.#caller.call("PATCH", "/pool", { body: change });
  }

  /** Reads everything and compares it with its checksums; joins a scrub under way. CANCELLED */
  scrub(options: LongCallOptions<NonNullable<ScrubWorkJson["progress"]>> = {}): Promise<ScrubJson> {
    return followWork(this.#caller, { ...options, path: "/scrub" });
  }

  /** Gives space back until used space is at most `ratio` times live data; joins a collection under way. CANCELLED */
  collect(
    options: LongCallOptions<CollectionJson> & { readonly ratio?: number } = {},
  ): Promise<CollectionJson> {
    const { ratio, ...rest } = options;
    return followWork(this.#caller, { ...rest, path: "/gc", body: ratio === undefined ? {} : { ratio } });
  }
}

/** Errors of all: INVALID_NAME, VOLUME_NOT_FOUND. */
export class VolumeCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  list(): Promise<VolumeJson[]> {
    return this.#caller.call("GET", "/volumes");
  }

  async show(name: string): Promise<VolumeJson> {
    return this.#caller.call("GET", volumePath(name));
  }

  /** A thin volume that reads as zeros. INVALID_SIZE, ALREADY_EXISTS */
  create(volume: CreateVolumeJson): Promise<VolumeJson> {
    return this.#caller.call("POST", "/volumes", { body: volume });
  }

  /** INVALID_SIZE; IN_USE when it would shrink under connected clients. */
  async resize(name: string, sizeBytes: number): Promise<VolumeJson> {
    return this.#caller.call("POST", `${volumePath(name)}/resize`, { body: { sizeBytes } });
  }

  /** IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async delete(name: string): Promise<void> {
    await this.#caller.call("DELETE", volumePath(name));
  }

  /** A writable copy of a volume as it is now, or of a snapshot; no data moves. ALREADY_EXISTS, SNAPSHOT_NOT_FOUND */
  async clone(options: { source: string; snapshot?: string | undefined; name: string }): Promise<VolumeJson> {
    const { source, snapshot, name } = options;
    return this.#caller.call("POST", `${volumePath(source)}/clone`, {
      body: snapshot === undefined ? { name } : { name, snapshot },
    });
  }

  /** Forgets what the volume was cloned from, so that it may be deleted. */
  async detach(name: string): Promise<VolumeJson> {
    return this.#caller.call("POST", `${volumePath(name)}/detach`);
  }
}

/** Errors of all: INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND. */
export class SnapshotCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  /** Of one volume, or of all; oldest first. */
  async list(volume?: string): Promise<SnapshotJson[]> {
    return this.#caller.call("GET", volume === undefined ? "/snapshots" : `${volumePath(volume)}/snapshots`);
  }

  async show(volume: string, name: string): Promise<SnapshotJson> {
    return this.#caller.call("GET", snapshotPath(volume, name));
  }

  /** Durable when it resolves. ALREADY_EXISTS */
  async create(volume: string, name: string): Promise<SnapshotJson> {
    return this.#caller.call("POST", `${volumePath(volume)}/snapshots`, { body: { name } });
  }

  /** IN_USE, HAS_CLONES */
  async delete(volume: string, name: string): Promise<void> {
    await this.#caller.call("DELETE", snapshotPath(volume, name));
  }

  /** The volume becomes what the snapshot holds. IN_USE */
  async rollback(volume: string, name: string): Promise<VolumeJson> {
    return this.#caller.call("POST", `${snapshotPath(volume, name)}/rollback`);
  }

  /**
   * Ranges that changed from the snapshot `from` to the snapshot `to`, or to the volume as it is now, in order,
   * as they are found. PROTOCOL_ERROR when they end in the middle. INVALID_RANGE
   */
  async *difference(options: {
    volume: string;
    from: string;
    to?: string | undefined;
    offsetBytes?: number;
    lengthBytes?: number;
    signal?: AbortSignal;
  }): AsyncGenerator<DifferenceJson> {
    const { volume, signal, ...query } = options;
    yield* readDifferences(await this.#caller.open("GET", `${volumePath(volume)}/diff`, { query, signal }));
  }
}
