// A pool in memory for tests of the rooms above it: volumes are byte arrays, snapshots are copies. It keeps the
// promises of Pool that those rooms rely on (codes, counts, differences) and nothing of durability.
import { RopewalkError } from "../../src/base/errors.ts";
import type { ControlledPool } from "../../src/control/mod.ts";
import type { BlockDevice, Capabilities, Extent, Geometry } from "../../src/device/mod.ts";
import type { Difference, MapRef, PoolStatus, SnapshotInfo, VolumeInfo } from "../../src/pool/mod.ts";

const BLOCK_BYTES = 4096;
/** Volumes report any size but hold at most this much. */
const HELD_BYTES_MAX = 2 ** 20;

interface FakeMap {
  id: number;
  name: string;
  sizeBytes: number;
  createdAtMs: number;
  sequence: number;
  clients: number;
  origin: string | undefined;
  bytes: Uint8Array;
  snapshots: Map<string, FakeMap>;
}

export class FakePool implements ControlledPool {
  readonly counters = {
    clientBytesWritten: 0,
    logBytesWritten: 0,
    collectorBytesWritten: 0,
    metadataBytesWritten: 0,
    clientBytesRead: 0,
    nodeFetches: 0,
    syncs: 0,
    checkpoints: 0,
    segmentsCollected: 0,
    checksumErrors: 0,
  };
  /** What the next scrub finds. */
  damage: string[] = [];
  /** A scrub ends when this does. */
  scrubGate: Promise<void> = Promise.resolve();
  collectRatios: number[] = [];
  #sizeBytes = 2 ** 34;
  #usedBytes = 3 * 2 ** 20;
  #ids = 0;
  readonly #volumes = new Map<string, FakeMap>();

  volumes(): VolumeInfo[] {
    return [...this.#volumes.values()].map((volume) => this.#volumeInfo(volume));
  }

  volume(name: string): VolumeInfo {
    return this.#volumeInfo(this.#find(name));
  }

  snapshots(volume?: string): SnapshotInfo[] {
    const volumes = volume === undefined ? [...this.#volumes.values()] : [this.#find(volume)];
    return volumes.flatMap((each) =>
      [...each.snapshots.keys()].map((name) => this.snapshot(each.name, name)),
    );
  }

  snapshot(volume: string, name: string): SnapshotInfo {
    const map = this.#findSnapshot(volume, name);
    const origin = `${volume}@${name}`;
    const clones = [...this.#volumes.values()].filter((each) => each.origin === origin).length;
    const { id, sizeBytes, createdAtMs, sequence, clients } = map;
    const usedBytes = usedBytesOf(map);
    return {
      id,
      volume,
      name,
      uuid: uuidOf(id),
      sizeBytes,
      usedBytes,
      createdAtMs,
      sequence,
      clones,
      clients,
    };
  }

  async createVolume({ name, sizeBytes }: { name: string; sizeBytes: number }): Promise<VolumeInfo> {
    if (this.#volumes.has(name)) throw new RopewalkError("ALREADY_EXISTS", `volume ${name} exists`);
    this.#volumes.set(name, this.#newMap(name, sizeBytes));
    return this.volume(name);
  }

  async deleteVolume(name: string): Promise<void> {
    const volume = this.#find(name);
    if ([...this.#volumes.values()].some((each) => each.origin === volume.name))
      throw new RopewalkError("HAS_CLONES", `volume ${name} has clones`);
    this.#volumes.delete(name);
  }

  async resizeVolume(name: string, sizeBytes: number): Promise<VolumeInfo> {
    this.#find(name).sizeBytes = sizeBytes;
    return this.volume(name);
  }

  async cloneVolume(options: { source: string; snapshot?: string; name: string }): Promise<VolumeInfo> {
    const { source, snapshot, name } = options;
    const from = snapshot === undefined ? this.#find(source) : this.#findSnapshot(source, snapshot);
    const clone = this.#newMap(name, from.sizeBytes);
    clone.bytes.set(from.bytes);
    clone.origin = snapshot === undefined ? source : `${source}@${snapshot}`;
    this.#volumes.set(name, clone);
    return this.volume(name);
  }

  async detachVolume(name: string): Promise<VolumeInfo> {
    this.#find(name).origin = undefined;
    return this.volume(name);
  }

  async createSnapshot(volume: string, name: string): Promise<SnapshotInfo> {
    const from = this.#find(volume);
    const map = this.#newMap(name, from.sizeBytes);
    map.bytes.set(from.bytes);
    from.snapshots.set(name, map);
    return this.snapshot(volume, name);
  }

  async deleteSnapshot(volume: string, name: string): Promise<void> {
    this.#findSnapshot(volume, name);
    this.#find(volume).snapshots.delete(name);
  }

  async rollback(volume: string, snapshot: string): Promise<VolumeInfo> {
    const from = this.#findSnapshot(volume, snapshot);
    const to = this.#find(volume);
    to.bytes.set(from.bytes);
    to.sizeBytes = from.sizeBytes;
    return this.volume(volume);
  }

  openVolume(name: string): BlockDevice {
    return new FakeDevice(this.#find(name), { isWritable: true });
  }

  openSnapshot(volume: string, name: string): BlockDevice {
    return new FakeDevice(this.#findSnapshot(volume, name), { isWritable: false });
  }

  async *difference(options: {
    from: MapRef;
    to: MapRef;
    offset?: number;
    length?: number;
  }): AsyncGenerator<Difference> {
    const { from, to } = { from: this.#resolve(options.from), to: this.#resolve(options.to) };
    const start = options.offset ?? 0;
    const end = Math.min(start + (options.length ?? Infinity), to.bytes.length);
    for (let offset = start; offset < end; offset += BLOCK_BYTES) {
      const [a, b] = [from, to].map(({ bytes }) => Buffer.from(bytes.subarray(offset, offset + BLOCK_BYTES)));
      if (a!.equals(b!)) continue;
      yield {
        offsetBytes: offset,
        lengthBytes: BLOCK_BYTES,
        kind: b!.every((byte) => byte === 0) ? "hole" : "data",
      };
    }
  }

  async allocationDepth(_map: MapRef, _offset: number, length: number) {
    return [{ lengthBytes: length, depth: 1 }];
  }

  status(): PoolStatus {
    const live = [...this.#volumes.values()].reduce((sum, volume) => sum + usedBytesOf(volume), 0);
    return {
      sizeBytes: this.#sizeBytes,
      usedBytes: this.#usedBytes,
      liveBytes: live,
      segments: 3,
      volumes: this.#volumes.size,
      readOnly: false,
      durableSequence: this.#ids,
      sequence: this.#ids,
      checkpoint: 1,
      cachedNodeBytes: 0,
      dirtyNodes: 0,
    };
  }

  async set(settings: { sizeBytes?: number }): Promise<void> {
    this.#sizeBytes = settings.sizeBytes ?? this.#sizeBytes;
  }

  async collect({ ratio }: { ratio?: number } = {}): Promise<{ segmentsFreed: number }> {
    this.collectRatios.push(ratio ?? 0);
    return { segmentsFreed: 1 };
  }

  async scrub(
    options: {
      onError?: (sentence: string) => void;
      onProgress?: (blocks: number) => void;
      signal?: AbortSignal;
    } = {},
  ) {
    const cancelled = Promise.withResolvers<never>();
    options.signal?.addEventListener("abort", () =>
      cancelled.reject(new RopewalkError("CANCELLED", "stopped")),
    );
    for (const sentence of this.damage) options.onError?.(sentence);
    options.onProgress?.(3);
    await Promise.race([this.scrubGate, cancelled.promise]);
    return { blocks: 7, errors: this.damage.length };
  }

  #resolve(map: MapRef): FakeMap {
    if ("pin" in map) throw new RopewalkError("PIN_NOT_FOUND", "no pins here");
    return map.snapshot === undefined ? this.#find(map.volume) : this.#findSnapshot(map.volume, map.snapshot);
  }

  #find(name: string): FakeMap {
    const volume = this.#volumes.get(name);
    if (!volume) throw new RopewalkError("VOLUME_NOT_FOUND", `there is no volume ${name}`);
    return volume;
  }

  #findSnapshot(volume: string, name: string): FakeMap {
    const snapshot = this.#find(volume).snapshots.get(name);
    if (!snapshot) throw new RopewalkError("SNAPSHOT_NOT_FOUND", `there is no snapshot ${volume}@${name}`);
    return snapshot;
  }

  #newMap(name: string, sizeBytes: number): FakeMap {
    const id = ++this.#ids;
    return {
      id,
      name,
      sizeBytes,
      createdAtMs: 1_700_000_000_000 + id,
      sequence: id,
      clients: 0,
      origin: undefined,
      bytes: new Uint8Array(Math.min(sizeBytes, HELD_BYTES_MAX)),
      snapshots: new Map(),
    };
  }

  #volumeInfo(volume: FakeMap): VolumeInfo {
    const { id, name, sizeBytes, createdAtMs, origin, clients } = volume;
    const [usedBytes, snapshots] = [usedBytesOf(volume), volume.snapshots.size];
    return { id, name, uuid: uuidOf(id), sizeBytes, usedBytes, snapshots, createdAtMs, origin, clients };
  }
}

function uuidOf(id: number): string {
  return `00000000-0000-4000-8000-${String(id).padStart(12, "0")}`;
}

function usedBytesOf({ bytes }: FakeMap): number {
  let used = 0;
  for (let offset = 0; offset < bytes.length; offset += BLOCK_BYTES)
    if (bytes.subarray(offset, offset + BLOCK_BYTES).some((byte) => byte !== 0)) used += BLOCK_BYTES;
  return used;
}

class FakeDevice implements BlockDevice {
  readonly geometry: Geometry = {
    minimumBlockBytes: 1,
    preferredBlockBytes: BLOCK_BYTES,
    maximumRequestBytes: 2 ** 25,
  };
  readonly capabilities: Capabilities;
  readonly #map: FakeMap;

  constructor(map: FakeMap, { isWritable }: { isWritable: boolean }) {
    this.#map = map;
    map.clients++;
    const native = "native";
    this.capabilities = {
      writable: isWritable,
      flush: native,
      fua: native,
      trim: native,
      zero: native,
      fastZero: native,
      extents: native,
      sharedFlush: true,
      rotational: false,
    };
  }

  get sizeBytes(): number {
    return this.#map.sizeBytes;
  }

  read(offset: number, target: Uint8Array): undefined {
    target.set(this.#map.bytes.subarray(offset, offset + target.length));
  }

  write(offset: number, source: Uint8Array): undefined {
    if (!this.capabilities.writable) throw new RopewalkError("READ_ONLY", "a snapshot is read-only");
    this.#map.bytes.set(source, offset);
  }

  zero(offset: number, length: number): undefined {
    this.#map.bytes.fill(0, offset, offset + length);
  }

  trim(offset: number, length: number): undefined {
    this.zero(offset, length);
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  extents(offset: number, length: number): Extent[] {
    return [{ offsetBytes: offset, lengthBytes: length, kind: "data" }];
  }

  async close(): Promise<void> {
    this.#map.clients--;
  }
}
