/**
 * A file that only grows until it is begun anew, for what must survive the death of the process.
 * Always holds: a write is with the kernel when it returns. Errors: IO_ERROR; TOO_LARGE for a file of another's making.
 */
import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { RopewalkError } from "../base/errors.ts";
import type { AppendFile } from "../ports/mod.ts";
import { syncDirectoryAt } from "./data-directory.ts";
import { errnoName } from "./disk-error.ts";

const syncData = promisify(fdatasync);

/** Makes the file, and the folder it is in, where they are missing. */
export async function openAppendFile(
  path: string,
  { bytesMax }: { readonly bytesMax: number },
): Promise<AppendFile> {
  let descriptor: number | undefined;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    descriptor = openSync(path, "a+", 0o600);
    await syncDirectoryAt(dirname(path));
    const { size } = fstatSync(descriptor);
    if (size > bytesMax) throw new RopewalkError("TOO_LARGE", `${path} is longer than ${bytesMax} bytes.`);
    const content = new Uint8Array(size);
    let done = 0;
    while (done < size) {
      const count = readSync(descriptor, content, done, size - done, done);
      if (count === 0) break;
      done += count;
    }
    return new HostAppendFile(path, descriptor, content.subarray(0, done));
  } catch (cause) {
    if (descriptor !== undefined) closeSync(descriptor);
    if (cause instanceof RopewalkError) throw cause;
    throw failure(path, "opened", cause);
  }
}

class HostAppendFile implements AppendFile {
  readonly content: Uint8Array;
  readonly #path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number, content: Uint8Array) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.content = content;
  }

  append(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#descriptor, bytes, done, bytes.length - done);
    } catch (cause) {
      throw failure(this.#path, "written", cause);
    }
  }

  async sync(): Promise<void> {
    try {
      await syncData(this.#descriptor);
    } catch (cause) {
      throw failure(this.#path, "synced", cause);
    }
  }

  clear(): void {
    try {
      ftruncateSync(this.#descriptor, 0);
    } catch (cause) {
      throw failure(this.#path, "cut", cause);
    }
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
  }
}

function failure(path: string, verb: string, cause: unknown): RopewalkError {
  return new RopewalkError("IO_ERROR", `${path} cannot be ${verb}: ${errnoName(cause)}.`, { cause });
}
