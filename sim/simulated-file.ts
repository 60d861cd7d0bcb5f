/**
 * One file of the simulated disk: what the platter holds, what the page cache shows, and the writes between.
 *
 * Always holds: `durable` changes only by a sync, by the choice of a power cut, or by rot; a sector without an
 * unsynced write is never touched by a power cut. After a failed sync the cache may show bytes that no later
 * sync will write, as Linux does, until `dropCache` or a power cut.
 */
import type { SimulatedRandom } from "./simulated-random.ts";
import { SparseBytes } from "./sparse-bytes.ts";

export type SectorBytes = 512 | 4096;

interface PendingWrite {
  /** Place in the order of everything that was done to this disk. */
  readonly number: number;
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What a power cut leaves of each unsynced write. */
export type Survival =
  | { readonly kind: "none" }
  /** Writes up to this number, and of the next one the first sectors. */
  | { readonly kind: "prefix"; readonly numberEnd: number }
  /** Each sector for itself: any of the versions that it had since the sync. */
  | { readonly kind: "any"; readonly newest: number; readonly oldest: number };

export class SimulatedFile {
  readonly sizeBytes: number;
  #durable: SparseBytes;
  #cache: SparseBytes;
  #pending: PendingWrite[] = [];

  constructor(sizeBytes: number, content = new SparseBytes(sizeBytes)) {
    this.sizeBytes = sizeBytes;
    this.#durable = content;
    this.#cache = content.copy();
  }

  /** The same file on another disk, with its unsynced writes. */
  copy(): SimulatedFile {
    const copy = new SimulatedFile(this.sizeBytes, this.#durable.copy());
    copy.#cache = this.#cache.copy();
    copy.#pending = this.#pending.slice();
    return copy;
  }

  get pendingNumbers(): number[] {
    return this.#pending.map((write) => write.number);
  }

  write(number: number, position: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pending.push({ number, position, bytes });
    this.#cache.write(position, bytes);
  }

  read(position: number, target: Uint8Array, targetOffset: number, length: number): void {
    this.#cache.read(position, target, targetOffset, length);
  }

  /** A sync that was issued when `numberEnd` was the next number has completed. */
  completeSync(numberEnd: number): void {
    for (const write of this.#pending)
      if (write.number < numberEnd) this.#durable.write(write.position, write.bytes);
    this.#pending = this.#pending.filter((write) => write.number >= numberEnd);
  }

  /** The sync failed: some sectors arrived, the others are in the cache only and count as clean. */
  failSync(numberEnd: number, random: SimulatedRandom): void {
    const covered = this.#pending.filter((write) => write.number < numberEnd);
    this.#pending = this.#pending.filter((write) => write.number >= numberEnd);
    this.#settleSectors(covered, 512, random, 0.4, 0.4);
  }

  /** Clean pages leave the cache; what waits to be written stays. */
  dropCache(): void {
    this.#cache = this.#durable.copy();
    for (const write of this.#pending) this.#cache.write(write.position, write.bytes);
  }

  powerCut(survival: Survival, sectorBytes: SectorBytes, random: SimulatedRandom, damageTorn: boolean): void {
    const pending = this.#pending;
    this.#pending = [];
    if (survival.kind === "any") {
      this.#settleSectors(pending, sectorBytes, random, survival.newest, survival.oldest);
      if (damageTorn && pending.length > 0) this.#damageSector(random.pick(pending), sectorBytes, random);
    } else if (survival.kind === "prefix") {
      for (const write of pending) {
        if (write.number < survival.numberEnd) this.#durable.write(write.position, write.bytes);
        else if (write.number === survival.numberEnd) this.#tear(write, sectorBytes, random, damageTorn);
      }
    }
    this.#cache = this.#durable.copy();
  }

  /** Flips one bit of the platter, behind everybody's back. */
  flip(offsetBytes: number, bit: number): void {
    const byte = this.#durable.slice(offsetBytes, 1);
    byte[0]! ^= 1 << bit;
    this.#durable.write(offsetBytes, byte);
    this.dropCache();
  }

  durableByte(offset: number): number {
    return this.#durable.slice(offset, 1)[0]!;
  }

  /** What the platter holds. */
  durableBytes(): Uint8Array {
    return this.#durable.slice(0, this.sizeBytes);
  }

  #settleSectors(
    writes: PendingWrite[],
    sectorBytes: SectorBytes,
    random: SimulatedRandom,
    newest: number,
    oldest: number,
  ): void {
    const bySector = new Map<number, PendingWrite[]>();
    for (const write of writes) {
      const last = Math.floor((write.position + write.bytes.length - 1) / sectorBytes);
      for (let sector = Math.floor(write.position / sectorBytes); sector <= last; sector++) {
        const versions = bySector.get(sector);
        if (versions === undefined) bySector.set(sector, [write]);
        else versions.push(write);
      }
    }
    for (const [sector, versions] of bySector) {
      const dice = random.fraction();
      const kept =
        dice < newest ? versions.length : dice < newest + oldest ? 0 : random.between(0, versions.length);
      for (const write of versions.slice(0, kept)) this.#writeSector(write, sector, sectorBytes);
    }
  }

  /** The first sectors of a write arrive; where it tore, a sector may hold neither old nor new. */
  #tear(write: PendingWrite, sectorBytes: SectorBytes, random: SimulatedRandom, damageTorn: boolean): void {
    const first = Math.floor(write.position / sectorBytes);
    const last = Math.floor((write.position + write.bytes.length - 1) / sectorBytes);
    const end = random.between(first, last + 1);
    for (let sector = first; sector < end; sector++) this.#writeSector(write, sector, sectorBytes);
    if (damageTorn && end <= last) this.#fillWithNoise(end, sectorBytes, random);
  }

  #damageSector(write: PendingWrite, sectorBytes: SectorBytes, random: SimulatedRandom): void {
    const first = Math.floor(write.position / sectorBytes);
    const last = Math.floor((write.position + write.bytes.length - 1) / sectorBytes);
    this.#fillWithNoise(random.between(first, last), sectorBytes, random);
  }

  #fillWithNoise(sector: number, sectorBytes: SectorBytes, random: SimulatedRandom): void {
    const start = sector * sectorBytes;
    this.#durable.write(start, random.bytes(Math.min(sectorBytes, this.sizeBytes - start)));
  }

  #writeSector(write: PendingWrite, sector: number, sectorBytes: SectorBytes): void {
    const from = Math.max(write.position, sector * sectorBytes);
    const to = Math.min(write.position + write.bytes.length, (sector + 1) * sectorBytes);
    this.#durable.write(from, write.bytes.subarray(from - write.position, to - write.position));
  }
}
