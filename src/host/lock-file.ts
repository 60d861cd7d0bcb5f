/**
 * The lock of a data directory: flock on the file `lock`, which also names the holder's process.
 *
 * Always holds: the kernel drops the lock when the process ends, however it ends; the descriptor is not
 * inherited by child processes. What stands in the file is only for messages, never for decisions.
 * Errors: POOL_IN_USE; else IO_ERROR.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../base/assert.ts";
import { RopewalkError } from "../base/errors.ts";
import { diskError, errnoName } from "./disk-error.ts";
import type { LinuxCalls } from "./linux-calls.ts";

export const LOCK_FILE_NAME = "lock";

const FILE_MODE = 0o600;
const PID_BYTES_MAX = 16;

export class LockFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #calls: LinuxCalls;
  #handle: FileHandle | undefined;

  constructor(directory: string, calls: LinuxCalls) {
    this.#directory = directory;
    this.#path = join(directory, LOCK_FILE_NAME);
    this.#calls = calls;
  }

  async take(): Promise<void> {
    assert(this.#handle === undefined, "a disk is locked once");
    const handle = await this.#open();
    try {
      await this.#lock(handle);
      await writePid(handle);
    } catch (cause) {
      await handle.close().catch(() => undefined);
      throw cause instanceof RopewalkError ? cause : diskError({ call: "write", path: this.#path, cause });
    }
    this.#handle = handle;
  }

  async release(): Promise<void> {
    const handle = this.#handle;
    assert(handle !== undefined, "only a locked disk is unlocked");
    this.#handle = undefined;
    // The name of the holder goes while the lock still stands; after it another's could be there.
    await handle.truncate(0).catch(() => undefined);
    try {
      await handle.close();
    } catch (cause) {
      throw diskError({ call: "close", path: this.#path, cause });
    }
  }

  async #open(): Promise<FileHandle> {
    try {
      // Append and read: made when absent, and never truncated before it is locked.
      return await open(this.#path, "a+", FILE_MODE);
    } catch (cause) {
      throw diskError({ call: "open", path: this.#path, cause });
    }
  }

  async #lock(handle: FileHandle): Promise<void> {
    const cause = this.#calls.lockExclusive(handle.fd);
    if (cause === 0) return;
    if (errnoName(cause) !== "EAGAIN") throw diskError({ call: "flock", path: this.#path, cause });
    const pid = await readPid(handle);
    const holder = pid === undefined ? "another process" : `process ${pid}`;
    throw new RopewalkError(
      "POOL_IN_USE",
      `The data directory ${this.#directory} is in use by ${holder}; stop that, or use another directory.`,
    );
  }
}

async function writePid(handle: FileHandle): Promise<void> {
  await handle.truncate(0);
  await handle.write(`${process.pid}\n`);
}

/** The holder's pid, or nothing when what stands there is not one. */
async function readPid(handle: FileHandle): Promise<string | undefined> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(PID_BYTES_MAX), 0, PID_BYTES_MAX, 0);
  return /^([1-9][0-9]{0,9})\n$/.exec(buffer.toString("latin1", 0, bytesRead))?.[1];
}
