/**
 * Random work with tokens in one life: clients that have tokens made and use them, beside clients that write and an
 * administrator. All choices come from the machine's seed.
 */
import { type BlockDevice, type ByteRange, RequestFlag } from "../src/device/mod.ts";
import type { TokenRoom } from "../src/offload/mod.ts";
import { Administration } from "./administration.ts";
import { check } from "./check-failed.ts";
import { DataRequests } from "./data-requests.ts";
import { deviceOver } from "./device-over.ts";
import type { Life } from "./machine.ts";
import type { ObservedTokenPool } from "./observed-token-pool.ts";
import type { PoolModel, VolumeModel } from "./pool-model.ts";
import type { SimulatedRandom } from "./simulated-random.ts";
import type { TokenBook } from "./token-book.ts";
import { type TokenModel, type TokenRequestFacts, tokenSource } from "./token-model.ts";
import { TokenRequests } from "./token-requests.ts";
import { pageBytes, unitBytes } from "./unit-content.ts";
import { VolumeAccess } from "./volume-access.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const volumesMax = 4;
const snapshotsMax = 4;
const readBytesMax = 192 * kibibyte;

const clientWeights = {
  data: 34,
  make: 16,
  read: 14,
  write: 22,
  show: 3,
  revoke: 4,
  hint: 1,
  forge: 3,
  list: 1,
  leave: 1,
};
const dataWeights = { write: 60, zero: 8, trim: 10, flush: 8, read: 14 };
const administrationWeights = {
  create: 5,
  clone: 4,
  delete: 5,
  resize: 4,
  snapshot: 9,
  snapshotDelete: 8,
  rollback: 5,
  checkpoint: 7,
  collect: 5,
};

export interface TokenWorkloadOptions {
  readonly clients: number;
  readonly requests: number;
  readonly actions: number;
  readonly pauseMsMax: number;
}

export class TokenWorkload {
  readonly access: VolumeAccess;
  readonly requests: TokenRequests;
  readonly #life: Life;
  readonly #random: SimulatedRandom;
  readonly #book: TokenBook;
  readonly #room: TokenRoom;
  readonly #pool: ObservedTokenPool;
  readonly #data: DataRequests;
  readonly #administration: Administration;
  /** Openings of snapshots, by volume and name; a deletion counts as one. */
  readonly #snapshotUsers = new Map<string, number>();

  constructor(life: Life, parts: { book: TokenBook; room: TokenRoom; pool: ObservedTokenPool }) {
    const { book, room, pool } = parts;
    this.#life = life;
    this.#random = life.machine.random;
    this.#book = book;
    life.onAppend((event) => book.recorded(event));
    this.#room = room;
    this.#pool = pool;
    this.access = new VolumeAccess(life, (volume) => this.#open(volume));
    this.#data = new DataRequests(life, this.access);
    this.#administration = new Administration(life, this.access, this.#data);
    this.requests = new TokenRequests({ life, book, room, pool, access: this.access, data: this.#data });
  }

  /** Resolves when all work is done; never when the process dies before. */
  async run({ clients, requests, actions, pauseMsMax }: TokenWorkloadOptions): Promise<void> {
    if (this.#model.volumes.size === 0) {
      await this.#administration.createVolume(this.#newName()!, 40 * pageBytes);
      await this.#administration.createVolume(this.#newName()!, this.#volumeSize());
    }
    const several = async (count: number, work: () => Promise<void>) => {
      for (let left = count; left > 0; left--) {
        await work();
        await this.#pause(pauseMsMax);
      }
    };
    await Promise.all([
      ...Array.from({ length: clients }, () => several(requests, () => this.#clientRequest())),
      several(actions, () => this.#action()),
    ]);
  }

  /** Every token that may be live is read whole, or as much as a read takes. */
  async readAll(): Promise<void> {
    for (const token of this.#book.handed) {
      const step = Math.min(readBytesMax, token.lengthBytes + 100);
      await this.requests.read(token, { offset: 0, length: step }, { isProtected: true });
      if (token.lengthBytes > readBytesMax)
        await this.requests.read(
          token,
          { offset: token.lengthBytes - readBytesMax, length: readBytesMax + 10 },
          { isProtected: true },
        );
    }
  }

  async revokeAll(): Promise<void> {
    await Promise.all(this.#book.handed.map((token) => this.requests.revoke(token, "mandatory")));
  }

  get #model(): PoolModel {
    return this.#life.machine.history.current;
  }

  async #pause(pauseMsMax: number): Promise<void> {
    const random = this.#random;
    if (random.chance(0.6)) return;
    await this.#life.pause(random.chance(0.04) ? random.between(0, 4000) : random.fraction() * pauseMsMax);
  }

  // ---- devices ----

  /** Mostly through the room, which sees the changes; now and then past it. */
  #open(volume: number): BlockDevice {
    const { name } = this.#model.volume(volume);
    const isPast = this.#random.chance(0.12);
    const base = this.#life.pool.openVolume(name);
    const noted: BlockDevice = noting(base, (offset, length) => {
      // What a client of a dead process still asks for reaches nobody.
      if (!this.#life.alive) return;
      if (isPast) this.#book.changedOtherwise(volume);
      else this.#book.changed(volume, offset, length);
    });
    return isPast ? noted : this.#room.overPool({ volume: name }, noted);
  }

  // ---- clients ----

  async #clientRequest(): Promise<void> {
    const random = this.#random;
    const kind = random.weighted(clientWeights);
    const handed = this.#book.handed;
    if (kind === "data") return this.#dataRequest();
    if (kind === "make" || handed.length === 0) return this.#make();
    if (kind === "list") return this.#list();
    if (kind === "leave") {
      const creator = random.pick(["one", "two"]);
      this.#room.endCreator(creator);
      this.#book.creatorEnded(creator);
      return;
    }
    if (kind === "forge") {
      const forged = this.requests.forged(random.pick(handed));
      if (random.chance(0.7)) return this.requests.forge(forged, random.pick(["read", "show", "revoke"]));
      return this.#write(forged);
    }
    const token = this.#pick(handed);
    if (kind === "write") return this.#write(token);
    if (kind === "show") return this.requests.show(token);
    if (kind === "revoke" || kind === "hint")
      return this.requests.revoke(token, kind === "hint" ? "hint" : "mandatory");
    const { lengthBytes } = token;
    const offset = random.pick([0, random.between(0, lengthBytes), Math.max(0, lengthBytes - 100)]);
    const length = random.pick([random.between(1, 600), random.between(1, 40_000), readBytesMax]);
    return this.requests.read(token, { offset, length }, this.#channel());
  }

  /** Mostly one that may be live. */
  #pick(tokens: readonly TokenModel[]): TokenModel {
    const live = tokens.filter(({ isOver }) => !isOver);
    return this.#random.pick(live.length > 0 && this.#random.chance(0.85) ? live : tokens);
  }

  #channel(): { isProtected: boolean } {
    return { isProtected: this.#random.chance(0.9) };
  }

  async #make(): Promise<void> {
    const random = this.#random;
    const volumes = this.#freeVolumes();
    if (volumes.length === 0) return this.#life.pause(1);
    const volume = random.pick(volumes);
    const snapshots = [...volume.snapshots.keys()];
    const snapshot = snapshots.length > 0 && random.chance(0.2) ? random.pick(snapshots) : undefined;
    const policy = random.weighted({ preserve: 5, invalidate: 3, reference: 2 });
    const facts: TokenRequestFacts = {
      policy,
      ttlMs: random.pick([40, 1500, 20_000, 60_000, 60_000]),
      inactivityMs: random.chance(0.15) ? random.pick([50, 2000]) : 0,
      persistent: policy !== "reference" && random.chance(0.35),
      deleteOnUse: random.chance(0.15),
      isProtected: random.chance(0.5),
      creator: random.pick(["one", "two"]),
    };
    const asked = {
      facts,
      ranges: this.#ranges(volume, facts.persistent && random.chance(0.06) ? 150 : undefined),
      priority: random.between(-2, 2),
    };
    this.access.acquire(volume.id);
    if (snapshot === undefined) {
      const device = this.#room.overPool({ volume: volume.name }, this.#life.pool.openVolume(volume.name));
      await this.requests.make(device, tokenSource(this.#model, { volume: volume.id }), asked);
      await this.#life.answer(device.close(), "close");
    } else await this.#makeOfSnapshot(volume, snapshot, asked);
    this.access.release(volume.id);
  }

  async #makeOfSnapshot(
    volume: VolumeModel,
    snapshot: string,
    asked: { facts: TokenRequestFacts; ranges: readonly ByteRange[]; priority: number },
  ): Promise<void> {
    const name = `${volume.id}@${snapshot}`;
    const users = this.#snapshotUsers.get(name) ?? 0;
    if (users < 0) return;
    this.#snapshotUsers.set(name, users + 1);
    const base = this.#life.pool.openSnapshot(volume.name, snapshot);
    const sizeBytes = base.sizeBytes;
    const device = this.#room.overPool({ volume: volume.name, snapshot }, base);
    const ranges = asked.ranges.filter(
      ({ offsetBytes, lengthBytes }) => offsetBytes + lengthBytes <= sizeBytes,
    );
    const source = tokenSource(this.#model, { volume: volume.id, snapshot });
    await this.requests.make(device, source, { ...asked, ranges });
    await this.#life.answer(device.close(), "close");
    this.#snapshotUsers.set(name, this.#snapshotUsers.get(name)! - 1);
  }

  /** Mostly one range, at a few places so that tokens and writes meet; of any length. */
  #ranges(volume: VolumeModel, count = Number(this.#random.weighted({ 1: 7, 2: 2, 5: 1 }))): ByteRange[] {
    const random = this.#random;
    const size = volume.map.sizeBytes;
    if (random.chance(0.1)) return [{ offsetBytes: 0, lengthBytes: size }];
    return Array.from({ length: count }, () => {
      const unit = random.pick([1, unitBytes, pageBytes, pageBytes]);
      const offsetBytes = Math.min(this.#place(size, unit), size - 1);
      const wanted =
        count > 10
          ? random.between(1, 5000)
          : random.pick([
              random.between(0, 2 * pageBytes),
              random.between(1, 8) * pageBytes,
              random.between(1, 64 * pageBytes),
              3 * mebibyte,
            ]);
      return { offsetBytes, lengthBytes: Math.min(wanted, size - offsetBytes) };
    });
  }

  #place(size: number, unit: number): number {
    const random = this.#random;
    const at = random.weighted({ hot: 6, leaf: 2, any: 2, end: 1 });
    const around =
      at === "hot"
        ? random.between(0, 24 * pageBytes)
        : at === "leaf"
          ? 2 * mebibyte + random.between(-8 * pageBytes, 8 * pageBytes)
          : at === "any"
            ? random.between(0, size - 1)
            : size - random.between(1, 6 * pageBytes);
    return Math.floor(Math.min(Math.max(around, 0), size - 1) / unit) * unit;
  }

  async #write(token: TokenModel | Uint8Array): Promise<void> {
    const random = this.#random;
    const volumes = this.#freeVolumes();
    if (volumes.length === 0) return this.#life.pause(1);
    const volume = random.pick(volumes);
    const isOurs = !(token instanceof Uint8Array);
    const tokenOffset =
      isOurs && random.chance(0.4)
        ? Math.floor(random.between(0, token.lengthBytes) / random.pick([1, pageBytes, pageBytes])) * 1
        : 0;
    const ranges = this.#destination(volume, isOurs ? token : undefined, tokenOffset);
    if (ranges === undefined) return;
    const tokens: (TokenModel | "zeros" | Uint8Array)[] = [token];
    if (isOurs && random.chance(0.08)) tokens[0] = "zeros";
    // Alternatives: one that is no token, and then the good one.
    else if (isOurs && random.chance(0.1) && !token.facts.deleteOnUse)
      tokens.unshift(this.requests.forged(token));
    else if (!isOurs && random.chance(0.3)) tokens.push("zeros");
    await this.requests.write({
      tokens,
      tokenOffset,
      volume: volume.id,
      ranges,
      fua: random.chance(0.2),
      channel: this.#channel(),
    });
  }

  /** Ranges that do not touch each other, nor those of other token writes; often where references can be made. */
  #destination(
    volume: VolumeModel,
    token: TokenModel | undefined,
    tokenOffset: number,
  ): ByteRange[] | undefined {
    const random = this.#random;
    const size = volume.map.sizeBytes;
    const count = random.weighted({ 1: 6, 2: 2, 4: 1 });
    const whole = token === undefined ? random.between(1, 9 * pageBytes) : token.lengthBytes - tokenOffset;
    const ranges: ByteRange[] = [];
    for (let left = Number(count); left > 0; left--) {
      const isAlike = random.chance(0.7);
      const inPage =
        token?.ranges[0] === undefined ? 0 : (token.ranges[0].offsetBytes + tokenOffset) % pageBytes;
      const offsetBytes = isAlike
        ? this.#place(size, pageBytes) + inPage
        : this.#place(size, random.pick([1, unitBytes]));
      const wanted = random.pick([
        whole,
        whole,
        random.between(0, whole),
        whole + random.between(1, 3 * pageBytes),
      ]);
      const lengthBytes = Math.min(wanted, size - offsetBytes, 6 * mebibyte);
      if (lengthBytes < 0) continue;
      const clash = (range: ByteRange) =>
        range.offsetBytes < offsetBytes + lengthBytes && offsetBytes < range.offsetBytes + range.lengthBytes;
      if (ranges.some(clash)) continue;
      for (const write of this.#pool.writes)
        if (write.volume === volume.id && write.touches(offsetBytes, lengthBytes)) return undefined;
      ranges.push({ offsetBytes, lengthBytes });
    }
    return ranges;
  }

  #list(): void {
    const ids = new Set(this.#room.list().map(({ id }) => id));
    const now = this.#book.nowMs;
    for (const token of this.#book.handed) {
      const mustLive = token.codes.size === 0 && !token.isOver && !token.mayTimeBeOver(now);
      const isBound = token.facts.policy === "preserve" && !this.#book.settings.endWithVolume;
      if (mustLive && isBound && token.deleting === 0)
        check(ids.has(token.id), "token-list", () => `${token.name} is not listed`);
      if (token.isOver && !token.facts.persistent)
        check(!ids.has(token.id), "token-list", () => `${token.name} is listed although it has ended`);
    }
  }

  async #dataRequest(): Promise<void> {
    const random = this.#random;
    const volumes = this.#freeVolumes();
    if (volumes.length === 0) return this.#life.pause(1);
    const { id: volume, map } = random.pick(volumes);
    const kind = this.#data.refused > 3 && random.chance(0.5) ? "trim" : random.weighted(dataWeights);
    if (kind === "flush") return this.#data.flush(volume);
    const unit = random.pick([1, unitBytes, pageBytes, pageBytes]);
    const offset = this.#place(map.sizeBytes, unit);
    const wanted =
      kind === "zero" || kind === "trim"
        ? random.pick([random.between(1, 9000), random.between(1, 40) * pageBytes, map.sizeBytes])
        : random.pick([
            random.between(1, 6000),
            random.between(1, 6) * pageBytes,
            random.between(1, 40) * pageBytes,
          ]);
    const length = Math.min(wanted, map.sizeBytes - offset);
    if (kind === "read") return this.#data.read(volume, offset, length);
    if (this.#life.requests.clashes(kind, volume, offset, length)) return;
    const flags = random.chance(0.1) ? RequestFlag.fua : 0;
    if (kind === "write") return this.#data.write({ volume, offset, length, flags });
    return this.#data.clear(kind, { volume, offset, length, flags });
  }

  #freeVolumes(): VolumeModel[] {
    return [...this.#model.volumes.values()].filter(({ id }) => this.access.free(id));
  }

  // ---- the administrator ----

  async #action(): Promise<void> {
    const random = this.#random;
    const administration = this.#administration;
    const volumes = [...this.#model.volumes.values()];
    const kind = random.weighted(administrationWeights);
    if (kind === "checkpoint" || kind === "collect") return administration.chore(kind);
    if (kind === "create" || volumes.length === 0) {
      const name = this.#newName();
      if (name !== undefined) await administration.createVolume(name, this.#volumeSize());
      return;
    }
    const volume = random.pick(volumes);
    const snapshots = [...volume.snapshots.keys()];
    const snapshot = snapshots.length > 0 ? random.pick(snapshots) : undefined;
    if (kind === "clone") {
      const name = this.#newName();
      if (name !== undefined) await administration.cloneVolume(volume, snapshot, name);
    } else if (kind === "delete") {
      if (volumes.length > 1) await administration.deleteVolume(volume);
    } else if (kind === "resize") {
      this.#book.changedOtherwise(volume.id);
      await administration.resizeVolume(volume, this.#newSize(volume));
      this.#book.changedOtherwise(volume.id);
    } else if (kind === "snapshot") {
      if (snapshots.length < snapshotsMax)
        await administration.createSnapshot(volume, `s${random.between(1, 6)}`);
    } else if (snapshot !== undefined && kind === "rollback") {
      this.#book.changedOtherwise(volume.id);
      await administration.rollback(volume, snapshot);
      this.#book.changedOtherwise(volume.id);
    } else if (snapshot !== undefined) await this.#deleteSnapshot(volume, snapshot);
  }

  async #deleteSnapshot(volume: VolumeModel, snapshot: string): Promise<void> {
    const name = `${volume.id}@${snapshot}`;
    if ((this.#snapshotUsers.get(name) ?? 0) !== 0) return;
    this.#snapshotUsers.set(name, -1);
    await this.#administration.deleteSnapshot(volume, snapshot);
    this.#snapshotUsers.set(name, 0);
  }

  /** One of few names, so that a later volume often has the name of one that tokens were made of. */
  #newName(): string | undefined {
    if (this.#model.volumes.size >= volumesMax) return undefined;
    for (;;) {
      const name = `v${this.#random.between(1, volumesMax + 2)}`;
      if (this.#model.volumeNamed(name) === undefined) return name;
    }
  }

  #volumeSize(): number {
    const random = this.#random;
    const base = random.pick([5 * pageBytes, 40 * pageBytes, mebibyte, 3 * mebibyte, 9 * mebibyte]);
    return base + (random.chance(0.4) ? random.between(1, pageBytes / unitBytes - 1) * unitBytes : 0);
  }

  #newSize({ map: { sizeBytes } }: VolumeModel): number {
    const random = this.#random;
    if (random.chance(0.3)) return this.#volumeSize();
    const change = random.pick([unitBytes, pageBytes, 7 * pageBytes, 17 * unitBytes]);
    return Math.max(unitBytes, random.chance(0.5) ? sizeBytes + change : sizeBytes - change);
  }
}

/** The same device, with its changes told as they are issued. */
function noting(base: BlockDevice, changed: (offset: number, length: number) => void): BlockDevice {
  return deviceOver(base, {
    write(offset, source, flags) {
      changed(offset, source.length);
      return base.write(offset, source, flags);
    },
    zero(offset, length, flags) {
      changed(offset, length);
      return base.zero(offset, length, flags);
    },
    trim(offset, length, flags) {
      changed(offset, length);
      return base.trim(offset, length, flags);
    },
  });
}
