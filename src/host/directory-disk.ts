/**
 * A directory of the real file system behind the Disk port.
 *
 * Always holds: file names are plain names inside the directory; a file that was not made whole is removed
 * again; the lock is the kernel's (flock), so it ends with the process however that ends. The lock file is
 * never removed, since two processes could then each lock one of its name, and it is not listed.
 * Errors: NO_SPACE from `create`, POOL_IN_USE, ALREADY_EXISTS, NOT_FOUND, DATA_DIRECTORY from opening; else IO_ERROR.
 */
import { close, fstat, open, type Stats } from "node:fs";
import { readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "../base/assert.ts";
import type { Disk, DiskEntry, DiskFile } from "../ports/mod.ts";
import { openDataDirectory, syncDirectoryAt } from "./data-directory.ts";
import { DirectoryDiskFile } from "./directory-disk-file.ts";
import { diskError } from "./disk-error.ts";
import { type LinuxCalls, linuxCalls } from "./linux-calls.ts";
import { LOCK_FILE_NAME, LockFile } from "./lock-file.ts";
import type { HostPageThreads } from "./page-threads/page-threads.ts";

const FILE_MODE = 0o600;
const FILE_NAME = /^(?!\.)[A-Za-z0-9._-]{1,255}$/;

// Descriptors rather than FileHandles, since the calls of a file's hot path are the synchronous ones.
const openAsync = promisify(open);
const closeAsync = promisify(close);
const statAsync = promisify(fstat) as (fd: number) => Promise<Stats>;

export class DirectoryDisk implements Disk {
  readonly path: string;
  readonly #calls: LinuxCalls;
  readonly #pageThreads: HostPageThreads | undefined;
  readonly #lockFile: LockFile;

  constructor(path: string, calls: LinuxCalls, pageThreads: HostPageThreads | undefined) {
    this.path = path;
    this.#calls = calls;
    this.#pageThreads = pageThreads;
    this.#lockFile = new LockFile(path, calls);
  }

  async list(): Promise<DiskEntry[]> {
    const entries: DiskEntry[] = [];
    try {
      for (const entry of await readdir(this.path, { withFileTypes: true })) {
        if (!entry.isFile() || entry.name === LOCK_FILE_NAME) continue;
        const { size } = await stat(join(this.path, entry.name));
        entries.push({ name: entry.name, sizeBytes: size });
      }
    } catch (cause) {
      throw diskError({ call: "readdir", path: this.path, cause });
    }
    return entries;
  }

  async create(name: string, sizeBytes: number): Promise<DiskFile> {
    assert(Number.isSafeInteger(sizeBytes) && sizeBytes > 0, "a file's size is a positive number of bytes");
    const path = this.#pathOf(name);
    const codes = { ENOSPC: "NO_SPACE", EDQUOT: "NO_SPACE", EEXIST: "ALREADY_EXISTS" } as const;
    let fd: number;
    try {
      fd = await openAsync(path, "wx+", FILE_MODE);
    } catch (cause) {
      throw diskError({ call: "open", path, cause, codes });
    }
    const cause = await this.#calls.allocate(fd, sizeBytes).catch((error: unknown) => error);
    if (cause === 0) return this.#file(path, name, fd, sizeBytes);
    await closeAsync(fd).catch(() => undefined);
    await unlink(path).catch(() => undefined);
    throw diskError({ call: "fallocate", path, cause, codes });
  }

  async open(name: string): Promise<DiskFile> {
    const path = this.#pathOf(name);
    let fd: number;
    try {
      fd = await openAsync(path, "r+");
    } catch (cause) {
      throw diskError({ call: "open", path, cause, codes: { ENOENT: "NOT_FOUND" } });
    }
    try {
      const { size } = await statAsync(fd);
      return this.#file(path, name, fd, size);
    } catch (cause) {
      await closeAsync(fd).catch(() => undefined);
      throw diskError({ call: "fstat", path, cause });
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const path = this.#pathOf(from);
    try {
      await rename(path, this.#pathOf(to));
    } catch (cause) {
      throw diskError({ call: "rename", path, cause, codes: { ENOENT: "NOT_FOUND" } });
    }
  }

  async remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    try {
      await unlink(path);
    } catch (cause) {
      throw diskError({ call: "unlink", path, cause, codes: { ENOENT: "NOT_FOUND" } });
    }
  }

  syncDirectory(): Promise<void> {
    return syncDirectoryAt(this.path);
  }

  lock(): Promise<void> {
    return this.#lockFile.take();
  }

  unlock(): Promise<void> {
    return this.#lockFile.release();
  }

  #file(path: string, name: string, fd: number, sizeBytes: number): DiskFile {
    return new DirectoryDiskFile({
      path,
      name,
      fd,
      sizeBytes,
      calls: this.#calls,
      pageThreads: this.#pageThreads,
    });
  }

  #pathOf(name: string): string {
    assert(FILE_NAME.test(name) && name !== LOCK_FILE_NAME, `"${name}" can name a file of the pool`);
    return join(this.path, name);
  }
}

/**
 * The directory at `path` as a disk; an absent one is made, durably, with mode 0700.
 * DATA_DIRECTORY when it is not a directory, cannot be made or cannot be written.
 */
export async function openDirectoryDisk(
  path: string,
  { calls = linuxCalls, pageThreads }: { calls?: LinuxCalls; pageThreads?: HostPageThreads | undefined } = {},
): Promise<Disk> {
  return new DirectoryDisk(await openDataDirectory(path), calls, pageThreads);
}
