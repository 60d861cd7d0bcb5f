/**
 * The files in which devices' kept checksums outlive their openings, in a directory of the daemon's data directory:
 * one file for each device, named by the digest of its identity (T24).
 *
 * Always holds: what is done with one device's file is done one after the other; a file is there wholly and durably or
 * not at all; that it is gone is durable when `remove` resolves. A damaged file is reported and dropped.
 * Errors: those of the disk, from `remove`; all others are reported, as the data does not depend on the files.
 */
import { createHash } from "node:crypto";
import { RopewalkError } from "../base/errors.ts";
import type { Disk } from "../ports/mod.ts";
import {
  CHECKSUM_FILE_BYTES_MAX,
  decodeChecksumFile,
  encodeChecksumFile,
  type StoredChecksums,
} from "./checksum-file.ts";

const FILES_MAX = 4096;
/** A file that is being written. */
const NEW = ".new";

export interface LoadedChecksums {
  readonly stored: StoredChecksums | undefined;
  /** There is durably no file. */
  readonly isGone: boolean;
}

export class ChecksumFiles {
  readonly #disk: Disk;
  readonly #report: (sentence: string) => void;
  /** What is done last of what is asked for, by file. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Every removal is durable. */
  #isSynced = true;

  private constructor(disk: Disk, report: (sentence: string) => void) {
    this.#disk = disk;
    this.#report = report;
  }

  /** Those of the process before that were removed are so durably then. IO_ERROR */
  static async open(options: { disk: Disk; report: (sentence: string) => void }): Promise<ChecksumFiles> {
    const { disk, report } = options;
    for (const { name } of await disk.list()) if (name.endsWith(NEW)) await disk.remove(name);
    await disk.syncDirectory();
    return new ChecksumFiles(disk, report);
  }

  load(device: string): Promise<LoadedChecksums> {
    const identity = identityOf(device);
    const name = identity.toString("hex");
    return this.#inTurn(name, async () => {
      try {
        const bytes = await this.#read(name);
        if (bytes === undefined) return { stored: undefined, isGone: this.#isSynced };
        const stored = decodeChecksumFile(identity, bytes);
        if (stored !== undefined) return { stored, isGone: false };
        this.#report(`The kept checksums ${name} are damaged; they are dropped, and its data is as it was.`);
        await this.#remove(name);
        return { stored: undefined, isGone: true };
      } catch (error) {
        this.#report(`The kept checksums ${name} cannot be read and are not used: ${String(error)}`);
        return { stored: undefined, isGone: false };
      }
    });
  }

  /** Whatever the disk says. */
  remove(device: string): Promise<void> {
    const name = identityOf(device).toString("hex");
    return this.#inTurn(name, () => this.#remove(name));
  }

  /** Writes what `take` gives when its turn has come; nothing when that is undefined. There is no file yet. */
  save(device: string, take: () => Promise<StoredChecksums | undefined>): Promise<void> {
    const identity = identityOf(device);
    const name = identity.toString("hex");
    return this.#inTurn(name, async () => {
      try {
        const stored = await take();
        if (stored !== undefined) await this.#write(name, encodeChecksumFile(identity, stored));
      } catch (error) {
        this.#report(`The kept checksums ${name} are not written and end: ${String(error)}`);
      }
    });
  }

  async #read(name: string): Promise<Uint8Array | undefined> {
    const file = await this.#disk.open(name).catch((error: unknown) => {
      if (error instanceof RopewalkError && error.code === "NOT_FOUND") return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      // One that is too long is not read, and damaged by its length.
      const bytes = new Uint8Array(Math.min(file.sizeBytes, CHECKSUM_FILE_BYTES_MAX + 1));
      if (file.sizeBytes <= CHECKSUM_FILE_BYTES_MAX) await file.read(0, bytes, 0, bytes.length);
      return bytes;
    } finally {
      await file.close();
    }
  }

  async #remove(name: string): Promise<void> {
    this.#isSynced = false;
    await this.#disk.remove(name).catch((error: unknown) => {
      if (!(error instanceof RopewalkError && error.code === "NOT_FOUND")) throw error;
    });
    await this.#disk.syncDirectory();
    this.#isSynced = true;
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    if ((await this.#disk.list()).length >= FILES_MAX)
      throw new RopewalkError("TOO_MANY", `there are ${FILES_MAX} such files already`);
    const file = await this.#disk.create(name + NEW, bytes.length);
    try {
      try {
        await file.writeAside(0, [bytes]);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#disk.rename(name + NEW, name);
    } catch (error) {
      await this.#disk.remove(name + NEW).catch(() => undefined);
      throw error;
    }
    await this.#disk.syncDirectory();
  }

  #inTurn<Result>(name: string, act: () => Promise<Result>): Promise<Result> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const done = before.then(act);
    const turn = done.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(name, turn);
    void turn.then(() => {
      if (this.#turns.get(name) === turn) this.#turns.delete(name);
    });
    return done;
  }
}

function identityOf(device: string): Buffer {
  return createHash("sha256").update(device).digest();
}
