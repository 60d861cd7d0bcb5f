/**
 * The disk port as one simulated process has it: every call takes simulated time, may fail as armed, and may
 * be the point at which the process dies.
 *
 * Always holds: once the process is dead, writes are swallowed and nothing completes, so that what it still
 * does in its last turn leaves no mark.
 */
import { checksumAt } from "../src/base/checksum.ts";
import { RopewalkError } from "../src/base/errors.ts";
import type { Disk, DiskEntry, DiskFile } from "../src/ports/mod.ts";
import type { DiskCall } from "./disk-faults.ts";
import type { SimulatedProcess } from "./simulated-clock.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";
import { SimulatedFile } from "./simulated-file.ts";

const sectorBytes = 512;
const pageBytes = 4096;

/** Runs `effect` on the disk after its time; the shared part of all calls that take time. */
type Later = <T>(call: DiskCall, name: string, effect: () => T, issued?: () => void) => Promise<T>;

export class ProcessDisk implements Disk {
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;

  constructor(disk: SimulatedDisk, process: SimulatedProcess) {
    this.#disk = disk;
    this.#process = process;
  }

  list(): Promise<DiskEntry[]> {
    return this.#later("list", "", () =>
      [...this.#disk.directory.names].map(([name, file]) => ({ name, sizeBytes: file.sizeBytes })),
    );
  }

  create(name: string, sizeBytes: number): Promise<DiskFile> {
    return this.#later("create", name, () => {
      if (this.#disk.directory.names.has(name)) throw new RopewalkError("ALREADY_EXISTS", `${name} exists`);
      if (this.#disk.usedBytes + sizeBytes > this.#disk.capacityBytes)
        throw new RopewalkError("NO_SPACE", `no room for ${name}`);
      const file = new SimulatedFile(sizeBytes);
      this.#disk.directory.create(this.#disk.takeNumber(), name, file);
      return this.#handle(name, file);
    });
  }

  open(name: string): Promise<DiskFile> {
    return this.#later("open", name, () => this.#handle(name, this.#disk.file(name)));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later("rename", from, () => {
      this.#disk.file(from);
      this.#disk.directory.rename(this.#disk.takeNumber(), from, to);
    });
  }

  remove(name: string): Promise<void> {
    return this.#later("remove", name, () => {
      this.#disk.file(name);
      this.#disk.directory.remove(this.#disk.takeNumber(), name);
    });
  }

  syncDirectory(): Promise<void> {
    let numberEnd = 0;
    return this.#later(
      "syncDirectory",
      "",
      () => {
        if (!this.#disk.plants.skipDirectorySync) this.#disk.directory.completeSync(numberEnd);
      },
      () => {
        numberEnd = this.#disk.nextNumber;
      },
    );
  }

  lock(): Promise<void> {
    return this.#later("lock", "", () => {
      const holder = this.#disk.lockedBy;
      if (holder !== undefined && !holder.dead)
        throw new RopewalkError("POOL_IN_USE", "another process has the directory");
      this.#disk.lockedBy = this.#process;
    });
  }

  async unlock(): Promise<void> {
    if (!this.#process.dead && this.#disk.lockedBy === this.#process) this.#disk.lockedBy = undefined;
  }

  #handle(name: string, file: SimulatedFile): DiskFile {
    return new ProcessFile(this.#disk, this.#process, this.#later, name, file);
  }

  readonly #later: Later = (call, name, effect, issued) => {
    const disk = this.#disk;
    if (this.#process.dead || disk.passPoint(call, name, this.#process)) return new Promise(() => {});
    const fault = disk.faults.strike(call, name);
    issued?.();
    return new Promise((resolve, reject) => {
      disk.clock.schedule(
        delayMs(disk, call),
        () => {
          const dies = disk.passPoint(`${call} done`, name, this.#process);
          // A process may die between what the kernel did for it and the news of it.
          if (dies && disk.random.chance(0.5)) return;
          try {
            if (fault !== undefined)
              throw new RopewalkError(fault, `${call} of ${name || "the directory"} failed`);
            const value = effect();
            if (!dies) resolve(value);
          } catch (error) {
            disk.trace.note(`${call} failed`, name);
            if (!dies) reject(error);
          }
        },
        this.#process,
      );
    });
  };
}

class ProcessFile implements DiskFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;
  readonly #later: Later;
  readonly #file: SimulatedFile;
  #closed = false;

  constructor(
    disk: SimulatedDisk,
    process: SimulatedProcess,
    later: Later,
    name: string,
    file: SimulatedFile,
  ) {
    this.#disk = disk;
    this.#process = process;
    this.#later = later;
    this.name = name;
    this.#file = file;
    this.sizeBytes = file.sizeBytes;
  }

  write(position: number, parts: readonly Uint8Array[]): void {
    const disk = this.#disk;
    if (this.#process.dead) return;
    this.#mustBeOpen();
    const bytes = join(parts);
    this.#mustFit("write", position, bytes.length);
    if (disk.passPoint("write", this.name, this.#process)) {
      this.#file.write(disk.takeNumber(), position, this.#part(position, bytes));
      return;
    }
    disk.trace.note("wrote", this.name, position, bytes.length);
    disk.trace.noteBytes(bytes);
    if (disk.plants.rewriteSectorBefore) this.#rewriteBefore(position);
    const fault = disk.faults.strike("write", this.name);
    if (fault !== undefined) {
      this.#file.write(disk.takeNumber(), position, this.#part(position, bytes));
      throw new RopewalkError(fault, `write of ${this.name} failed`);
    }
    this.#file.write(disk.takeNumber(), position, bytes);
  }

  /** The bytes are taken when the write happens, so that a buffer that is reused too early shows. */
  writeAside(position: number, parts: readonly Uint8Array[]): Promise<void> {
    this.#mustBeOpen();
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#mustFit("write", position, length);
    const disk = this.#disk;
    const put = (bytes: Uint8Array) => this.#file.write(disk.takeNumber(), position, bytes);
    const done = this.#later("write", this.name, () => {
      const bytes = join(parts);
      disk.trace.note("wrote aside", this.name, position, bytes.length);
      disk.trace.noteBytes(bytes);
      put(this.#process.dead ? this.#part(position, bytes) : bytes);
    });
    return done.catch((error) => {
      put(this.#part(position, join(parts)));
      throw error;
    });
  }

  readNow(position: number, target: Uint8Array, targetOffset: number, length: number): boolean {
    if (this.#process.dead) return false;
    this.#mustBeOpen();
    this.#mustFit("read", position, length);
    const cached = this.#disk.random.chance(this.#disk.cachedFraction);
    this.#disk.trace.note(cached ? "read now" : "not cached", this.name, position, length);
    if (!cached) return false;
    this.#disk.onRead?.(this.name, position, length);
    this.#file.read(position, target, targetOffset, length);
    return true;
  }

  read(position: number, target: Uint8Array, targetOffset: number, length: number): Promise<void> {
    this.#mustBeOpen();
    this.#mustFit("read", position, length);
    return this.#later("read", this.name, () => {
      this.#disk.trace.note("read bytes", this.name, position, length);
      this.#disk.onRead?.(this.name, position, length);
      this.#file.read(position, target, targetOffset, length);
    });
  }

  readPages(position: number, target: Uint8Array, sums: Uint32Array): Promise<boolean> | undefined {
    this.#mustBeOpen();
    this.#mustFit("read", position, target.length);
    const disk = this.#disk;
    if (this.#process.dead || disk.random.chance(0.3)) return undefined;
    const cached = disk.random.chance(disk.cachedFraction);
    const wanted = sums.slice();
    const reading = this.#later("read", this.name, () => {
      disk.trace.note(cached ? "read pages" : "pages not cached", this.name, position, target.length);
      if (!cached) return false;
      disk.onRead?.(this.name, position, target.length);
      this.#file.read(position, target, 0, target.length);
      return wanted.every((sum, page) => checksumAt(target, page * pageBytes, pageBytes) === sum);
    });
    return reading.catch(() => false);
  }

  sync(): Promise<void> {
    this.#mustBeOpen();
    const disk = this.#disk;
    let numberEnd = 0;
    const skips = disk.plants.skipSyncEvery;
    const done = this.#later(
      "sync",
      this.name,
      () => {
        if (skips === undefined || disk.random.between(1, skips) > 1) this.#file.completeSync(numberEnd);
      },
      () => {
        numberEnd = disk.nextNumber;
      },
    );
    return done.catch((error) => {
      this.#file.failSync(numberEnd, disk.random);
      throw error;
    });
  }

  dropCache(): Promise<void> {
    this.#mustBeOpen();
    return this.#later("dropCache", this.name, () => {
      if (!this.#disk.plants.keepCache) this.#file.dropCache();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** The sector before `position` is written again as it is. */
  #rewriteBefore(position: number): void {
    const start = position - sectorBytes;
    if (start < 0) return;
    const bytes = new Uint8Array(sectorBytes);
    this.#file.read(start, bytes, 0, sectorBytes);
    this.#file.write(this.#disk.takeNumber(), start, bytes);
  }

  /** How far a write came that was broken off. */
  #part(position: number, bytes: Uint8Array): Uint8Array {
    const firstSector = Math.floor(position / sectorBytes);
    const lastSector = Math.ceil((position + bytes.length) / sectorBytes);
    const end = this.#disk.random.between(firstSector, lastSector) * sectorBytes;
    return bytes.subarray(0, Math.max(0, Math.min(end - position, bytes.length)));
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`the pool used ${this.name} after closing it`);
  }

  #mustFit(what: string, position: number, length: number): void {
    if (position >= 0 && position + length <= this.sizeBytes) return;
    throw new Error(`the pool's ${what} of ${length} bytes at ${position} leaves ${this.name}`);
  }
}

/** The parts as one new array: a caller may reuse its own once the call returned. */
function join(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function delayMs(disk: SimulatedDisk, call: DiskCall): number {
  const { random } = disk;
  if (random.chance(0.01)) return random.fraction() * 400;
  const typicalMs = call === "sync" ? 2 : call === "syncDirectory" ? 1 : 0.2;
  return random.fraction() * typicalMs;
}
