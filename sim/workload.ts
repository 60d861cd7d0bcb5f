/**
 * Random work on the pool in one life: some clients that send data requests one after the other, one
 * administrator, one reader of cursors. All choices come from the machine's seed.
 */
import { RequestFlag } from "../src/device/mod.ts";
import { Administration } from "./administration.ts";
import type { CursorReader } from "./cursor-reader.ts";
import { DataRequests } from "./data-requests.ts";
import type { Life } from "./machine.ts";
import type { MapKey, PoolModel, VolumeModel } from "./pool-model.ts";
import type { SimulatedRandom } from "./simulated-random.ts";
import { pageBytes, unitBytes } from "./unit-content.ts";
import { VolumeAccess } from "./volume-access.ts";

const mebibyte = 1024 * 1024;
/** A leaf of the pool's maps covers this much. */
const leafBytes = 2 * mebibyte;
const volumesMax = 6;
const snapshotsMax = 8;
const pinsMax = 3;
const cursorsMax = 2;

const dataWeights = {
  small: 30,
  page: 30,
  medium: 14,
  large: 2,
  zero: 6,
  trim: 8,
  flush: 8,
  read: 20,
  extents: 2,
};
const administrationWeights = {
  create: 4,
  clone: 6,
  detach: 2,
  delete: 3,
  resize: 4,
  snapshot: 12,
  snapshotDelete: 8,
  rollback: 3,
  rollbackInUse: 1,
  graft: 14,
  pin: 4,
  unpin: 3,
  mark: 2,
  difference: 4,
  readSnapshot: 3,
  checkpoint: 6,
  collect: 4,
  scrub: 1,
  resizePool: 2,
  cursor: 3,
  cursorDelete: 1,
};

export interface WorkloadOptions {
  readonly clients: number;
  /** Data requests of each client. */
  readonly requests: number;
  /** Actions of the administrator. */
  readonly actions: number;
  readonly pauseMsMax: number;
}

export class Workload {
  readonly access: VolumeAccess;
  readonly #life: Life;
  readonly #random: SimulatedRandom;
  readonly #data: DataRequests;
  readonly #administration: Administration;
  readonly #reader: CursorReader;
  readonly #options: WorkloadOptions;
  #clientsLeft = 0;

  constructor(life: Life, reader: CursorReader, options: WorkloadOptions) {
    this.#life = life;
    this.#random = life.machine.random;
    this.#reader = reader;
    this.#options = options;
    this.access = new VolumeAccess(life);
    this.#data = new DataRequests(life, this.access);
    this.#administration = new Administration(life, this.access, this.#data);
  }

  /** Resolves when all work is done; never when the process dies before. */
  async run(): Promise<void> {
    const { clients } = this.#options;
    this.#clientsLeft = clients;
    if (this.#model.volumes.size === 0)
      await this.#administration.createVolume(this.#newVolumeName(), this.#volumeSize());
    await Promise.all([
      ...Array.from({ length: clients }, () => this.#client()),
      this.#administrator(),
      this.#cursorReader(),
    ]);
    await this.access.closeAll();
  }

  get #model(): PoolModel {
    return this.#life.machine.history.current;
  }

  async #client(): Promise<void> {
    for (let left = this.#options.requests; left > 0; left--) {
      await this.#dataRequest();
      await this.#pause();
    }
    this.#clientsLeft--;
  }

  async #administrator(): Promise<void> {
    for (let left = this.#options.actions; left > 0; left--) {
      await this.#action();
      await this.#pause();
      await this.#pause();
    }
  }

  async #cursorReader(): Promise<void> {
    while (this.#clientsLeft > 0) {
      for (const name of this.#reader.names) await this.#reader.read(this.#life, name);
      await this.#life.pause(this.#random.between(1, 100));
    }
  }

  async #pause(): Promise<void> {
    const random = this.#random;
    if (random.chance(0.6)) return;
    await this.#life.pause(
      random.chance(0.03) ? random.between(0, 3000) : random.fraction() * this.#options.pauseMsMax,
    );
  }

  async #dataRequest(): Promise<void> {
    const random = this.#random;
    const volumes = [...this.#model.volumes.values()].filter(({ id }) => this.access.free(id));
    if (volumes.length === 0) return this.#life.pause(1);
    const volume = random.pick(volumes);
    const kind = this.#data.refused > 3 && random.chance(0.5) ? "trim" : random.weighted(dataWeights);
    if (kind === "flush") return this.#data.flush(volume.id);
    if (kind === "extents") return this.#extents(volume);
    const { offset, length } = this.#range(volume, kind);
    if (kind === "read") return this.#data.read(volume.id, offset, length);
    const clearing = kind === "zero" || kind === "trim";
    if (this.#life.requests.clashes(clearing ? kind : "write", volume.id, offset, length)) return;
    const fua = random.chance(0.12) ? RequestFlag.fua : 0;
    if (!clearing) return this.#data.write({ volume: volume.id, offset, length, flags: fua });
    const noHole = kind === "zero" && random.chance(0.3) ? RequestFlag.noHole : 0;
    return this.#data.clear(kind, { volume: volume.id, offset, length, flags: fua + noHole });
  }

  async #extents(volume: VolumeModel): Promise<void> {
    const device = this.access.acquire(volume.id);
    const offset = Math.floor(this.#random.fraction() * (volume.map.sizeBytes / unitBytes)) * unitBytes;
    await this.#life.answer((async () => device.extents(offset, volume.map.sizeBytes - offset, 8))());
    this.access.release(volume.id);
  }

  /** Mostly the same few places, so that requests meet; also leaf borders, the end, and far away. */
  #range(volume: VolumeModel, kind: keyof typeof dataWeights): { offset: number; length: number } {
    const random = this.#random;
    const size = volume.map.sizeBytes;
    const place = random.weighted({ hot: 6, leaf: 3, far: 2, end: 1 });
    const unit = kind === "page" ? pageBytes : random.pick([unitBytes, unitBytes, pageBytes]);
    const around =
      place === "hot"
        ? random.between(0, mebibyte)
        : place === "leaf"
          ? random.between(1, 4) * leafBytes + random.between(-64 * 1024, 64 * 1024)
          : place === "far"
            ? (random.between(0, 15) / 16) * size + random.between(0, 256 * 1024)
            : size - random.between(0, 64 * 1024);
    const start = Math.min(Math.max(around, 0), size - unitBytes);
    const offset = Math.min(Math.floor(start / unit) * unit, size - unitBytes);
    const wanted =
      kind === "small"
        ? random.between(1, 12) * unitBytes
        : kind === "page"
          ? random.between(1, 4) * pageBytes
          : kind === "medium" || kind === "read"
            ? random.between(1, 32) * pageBytes
            : kind === "large"
              ? random.between(32, 120) * pageBytes
              : random.pick([
                  random.between(1, 64) * unitBytes,
                  random.between(1, 64) * pageBytes,
                  8 * mebibyte,
                  size,
                ]);
    return { offset, length: Math.min(wanted, size - offset) };
  }

  async #action(): Promise<void> {
    const random = this.#random;
    const volumes = [...this.#model.volumes.values()];
    const kind =
      this.#data.refused > 3 && random.chance(0.5)
        ? "snapshotDelete"
        : random.weighted(administrationWeights);
    const administration = this.#administration;
    if (kind === "create" || volumes.length === 0) {
      if (volumes.length >= volumesMax) return;
      const name =
        random.chance(0.05) && volumes.length > 0 ? random.pick(volumes).name : this.#newVolumeName();
      return administration.createVolume(name, this.#volumeSize());
    }
    if (kind === "checkpoint" || kind === "collect" || kind === "scrub") return administration.chore(kind);
    const volume = random.pick(volumes);
    const snapshots = [...volume.snapshots.keys()];
    const snapshot = snapshots.length > 0 ? random.pick(snapshots) : undefined;
    switch (kind) {
      case "clone":
        if (volumes.length >= volumesMax) return;
        return administration.cloneVolume(
          volume,
          random.chance(0.8) ? snapshot : undefined,
          this.#newVolumeName(),
        );
      case "detach":
        return volume.origin === undefined ? undefined : administration.detachVolume(volume);
      case "delete":
        if (volumes.length < 2 || this.#reader.follows(volume.id)) return;
        return administration.deleteVolume(volume);
      case "resize":
        return administration.resizeVolume(volume, this.#newSize(volume));
      case "snapshot":
        if (snapshots.length >= snapshotsMax) return;
        return administration.createSnapshot(volume, `s${random.between(1, 60)}`);
      case "resizePool":
        return administration.resizePool(
          this.#life.pool.status().sizeBytes + random.between(-4, 6) * mebibyte,
        );
      case "mark":
        return administration.mark(volume, `text ${random.between(1, 1000)}`);
      case "graft":
        return this.#graft(volume);
      case "pin":
        if (this.#model.pins.size >= pinsMax) return;
        return administration.pin(this.#mapKey(volume), random.chance(0.5) ? "persistent" : "passing");
      case "unpin": {
        const pins = [...this.#model.pins.keys()];
        return pins.length > 0 ? administration.unpin(random.pick(pins)) : undefined;
      }
      case "difference":
        if (snapshot === undefined) return;
        return administration.difference({ volume: volume.id, snapshot }, this.#mapKey(volume));
      case "cursor":
        if (this.#reader.names.length >= cursorsMax) return;
        return this.#reader.create(
          this.#life,
          volume.id,
          `c${random.between(1, 1e6)}`,
          random.pick([1, 4, 16]) * mebibyte,
        );
      case "cursorDelete":
        return this.#reader.names.length > 0
          ? this.#reader.delete(this.#life, random.pick(this.#reader.names))
          : undefined;
    }
    if (snapshot === undefined) return;
    if (kind === "snapshotDelete") return administration.deleteSnapshot(volume, snapshot);
    if (kind === "rollback") return administration.rollback(volume, snapshot);
    if (kind === "rollbackInUse") return administration.rollbackInUse(volume, snapshot);
    return administration.readSnapshot(volume, snapshot);
  }

  /** The volume itself, one of its snapshots, or a pin. */
  #mapKey(volume: VolumeModel): MapKey {
    const random = this.#random;
    const keys: MapKey[] = [{ volume: volume.id }];
    for (const snapshot of volume.snapshots.keys()) keys.push({ volume: volume.id, snapshot });
    return random.pick(keys);
  }

  async #graft(volume: VolumeModel): Promise<void> {
    const random = this.#random;
    const sources: MapKey[] = this.#model.maps().map(({ key }) => key);
    const source = random.chance(0.3) ? { volume: volume.id } : random.pick(sources);
    const wholePages = (bytes: number) => Math.floor(bytes / pageBytes);
    const sourcePages = wholePages(this.#model.map(source).sizeBytes);
    const targetPages = wholePages(volume.map.sizeBytes);
    if (sourcePages === 0 || targetPages === 0 || !this.access.free(volume.id)) return;
    const aligned = random.chance(0.4);
    const unit = aligned ? leafBytes / pageBytes : 1;
    const place = (pages: number) => Math.floor(random.between(0, Math.min(pages - 1, 2048)) / unit) * unit;
    const from = place(sourcePages);
    const to = random.chance(0.3) ? Math.min(from, targetPages - 1) : place(targetPages);
    const pages = random.pick([random.between(1, 8), random.between(1, 600), 512, 1024]);
    const length = Math.min(pages, sourcePages - from, targetPages - to) * pageBytes;
    await this.#administration.graft({
      source,
      sourceOffset: from * pageBytes,
      volume,
      offset: to * pageBytes,
      length,
      fua: random.chance(0.3),
    });
  }

  #newVolumeName(): string {
    for (;;) {
      const name = `v${this.#random.between(1, 1_000_000)}`;
      if (this.#model.volumeNamed(name) === undefined) return name;
    }
  }

  #volumeSize(): number {
    const random = this.#random;
    const base = random.pick([
      4 * pageBytes,
      mebibyte,
      5 * mebibyte,
      9 * mebibyte,
      64 * mebibyte,
      1024 * mebibyte,
      16_384 * mebibyte,
    ]);
    return base + (random.chance(0.3) ? random.between(1, 15) * unitBytes : 0);
  }

  #newSize(volume: VolumeModel): number {
    const random = this.#random;
    const size = volume.map.sizeBytes;
    if (random.chance(0.3)) return this.#volumeSize();
    const change = random.pick([unitBytes, 3 * unitBytes, pageBytes, 17 * pageBytes, leafBytes]);
    return Math.max(unitBytes, random.chance(0.5) ? size + change : size - change);
  }
}
