// A disk that counts the bytes read from it, so that "reads at most 1 % of the data" is a number.
import type { Disk, DiskEntry, DiskFile } from "../../src/ports/mod.ts";

export class CountingDisk implements Disk {
  bytesRead = 0;
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async create(name: string, sizeBytes: number): Promise<DiskFile> {
    return new CountingFile(await this.#disk.create(name, sizeBytes), this);
  }

  async open(name: string): Promise<DiskFile> {
    return new CountingFile(await this.#disk.open(name), this);
  }

  list(): Promise<DiskEntry[]> {
    return this.#disk.list();
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  remove(name: string): Promise<void> {
    return this.#disk.remove(name);
  }

  syncDirectory(): Promise<void> {
    return this.#disk.syncDirectory();
  }

  lock(): Promise<void> {
    return this.#disk.lock();
  }

  unlock(): Promise<void> {
    return this.#disk.unlock();
  }
}

class CountingFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #disk: CountingDisk;

  constructor(file: DiskFile, disk: CountingDisk) {
    this.#file = file;
    this.#disk = disk;
  }

  get name(): string {
    return this.#file.name;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  writeAside(position: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#file.writeAside(position, parts);
  }

  write(position: number, parts: readonly Uint8Array[]): void {
    this.#file.write(position, parts);
  }

  readNow(position: number, target: Uint8Array, targetOffset: number, length: number): boolean {
    const done = this.#file.readNow(position, target, targetOffset, length);
    if (done) this.#disk.bytesRead += length;
    return done;
  }

  read(position: number, target: Uint8Array, targetOffset: number, length: number): Promise<void> {
    this.#disk.bytesRead += length;
    return this.#file.read(position, target, targetOffset, length);
  }

  readPages(): undefined {}

  sync(): Promise<void> {
    return this.#file.sync();
  }

  dropCache(): Promise<void> {
    return this.#file.dropCache();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
