/**
 * A raw file, or a disk of the system, as a block device.
 *
 * Always holds: the file is locked against a second opening for writing; its size is that of the opening; a file
 * system that cannot punch holes or zero ranges has zeros written instead, where that is allowed.
 * Errors: IO_ERROR with call, file and errno; NO_SPACE; NOT_FOUND, IN_USE, INVALID_CONFIG from opening.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Extent,
  type Geometry,
  RequestFlag,
} from "../device/mod.ts";
import { diskError, errnoName } from "./disk-error.ts";
import { type LinuxCalls, linuxCalls } from "./linux-calls.ts";

/** Smallest unit of both disks and files that hold them. */
const BLOCK_BYTES = 512;
const PREFERRED_BYTES = 4096;
const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
const ZEROS = Buffer.alloc(1024 * 1024);
/** What a range call says where the file system or the disk has no such thing. */
const CANNOT = ["EOPNOTSUPP", "ENOTSUP", "ENOSYS", "ENODEV"];
const FULL = { ENOSPC: "NO_SPACE", EDQUOT: "NO_SPACE" } as const;

export interface FileDeviceOptions {
  readonly access?: "read-write" | "read-only";
  readonly calls?: LinuxCalls;
}

/** The file at `path`, which exists. Its size is cut to whole blocks of 512 bytes. */
export async function openFileDevice(
  path: string,
  { access = "read-write", calls = linuxCalls }: FileDeviceOptions = {},
): Promise<BlockDevice> {
  const isWritable = access === "read-write";
  let file: FileHandle;
  try {
    // Nonblocking, so that a pipe of that name does not hold the opening for ever.
    file = await open(path, (isWritable ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK);
  } catch (cause) {
    throw diskError({ call: "open", path, cause, codes: { ENOENT: "NOT_FOUND", EISDIR: "INVALID_CONFIG" } });
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile() && !stat.isBlockDevice())
      throw new RopewalkError("INVALID_CONFIG", `${path} is neither a file nor a disk.`);
    if (isWritable && calls.lockExclusive(file.fd) < 0)
      throw new RopewalkError("IN_USE", `${path} is open for writing elsewhere.`);
    const endBytes = await calls.seek(file.fd, 0, "end");
    if (endBytes < 0) throw diskError({ call: "lseek", path, cause: endBytes });
    const sizeBytes = endBytes - (endBytes % BLOCK_BYTES);
    const canPunch =
      isWritable &&
      (stat.isBlockDevice() || (await calls.punchHole(file.fd, sizeBytes, PREFERRED_BYTES)) === 0);
    return new FileDevice({ file, path, calls, sizeBytes, isWritable, canPunch });
  } catch (error) {
    await file.close();
    throw error;
  }
}

class FileDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly geometry: Geometry = {
    minimumBlockBytes: BLOCK_BYTES,
    preferredBlockBytes: PREFERRED_BYTES,
    maximumRequestBytes: REQUEST_BYTES_MAX,
  };
  readonly capabilities: Capabilities;
  readonly offload = undefined;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #calls: LinuxCalls;
  /** The first failure of a sync: nothing says later what of the file reached the disk. */
  #syncFailure: RopewalkError | undefined;

  constructor(options: {
    file: FileHandle;
    path: string;
    calls: LinuxCalls;
    sizeBytes: number;
    isWritable: boolean;
    canPunch: boolean;
  }) {
    this.#file = options.file;
    this.#path = options.path;
    this.#calls = options.calls;
    this.sizeBytes = options.sizeBytes;
    this.capabilities = {
      writable: options.isWritable,
      flush: "native",
      fua: "emulated",
      trim: options.canPunch ? "native" : "absent",
      zero: options.canPunch ? "native" : "emulated",
      fastZero: options.canPunch ? "native" : "absent",
      extents: "native",
      sharedFlush: true,
      rotational: false,
    };
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await this.#did(
        "read",
        this.#file.read(target, done, target.length - done, offset + done),
      );
      if (bytesRead === 0)
        throw new RopewalkError("IO_ERROR", `${this.#path} ends at ${offset + done}; it was made shorter.`);
      done += bytesRead;
    }
  }

  async write(offset: number, source: Uint8Array, flags: number): Promise<void> {
    for (let done = 0; done < source.length; ) {
      const write = this.#file.write(source, done, source.length - done, offset + done);
      done += (await this.#did("write", write)).bytesWritten;
    }
    if (flags & RequestFlag.fua) await this.flush();
  }

  async zero(offset: number, length: number, flags: number): Promise<void> {
    const { punchHole, zeroRange } = this.#calls;
    const result = await (flags & RequestFlag.noHole ? zeroRange : punchHole)(this.#file.fd, offset, length);
    if (result < 0) {
      if (!CANNOT.includes(errnoName(result))) throw this.#error("fallocate", result);
      if (flags & RequestFlag.fast)
        throw new RopewalkError("UNSUPPORTED", `${this.#path} cannot be zeroed faster than by writing.`);
      for (let done = 0; done < length; done += ZEROS.length)
        await this.write(offset + done, ZEROS.subarray(0, length - done), RequestFlag.none);
    }
    if (flags & RequestFlag.fua) await this.flush();
  }

  async trim(offset: number, length: number, flags: number): Promise<void> {
    const result = await this.#calls.punchHole(this.#file.fd, offset, length);
    // A trim is a hint: what cannot be given back stays.
    if (result < 0 && !CANNOT.includes(errnoName(result))) throw this.#error("fallocate", result);
    if (flags & RequestFlag.fua) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#syncFailure !== undefined) throw this.#syncFailure;
    try {
      await this.#did("fdatasync", this.#file.datasync());
    } catch (error) {
      this.#syncFailure = error as RopewalkError;
      throw error;
    }
  }

  async extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const extents: Extent[] = [];
    const end = offset + length;
    for (let at = offset; at < end && extents.length < extentsMax; ) {
      const dataAt = Math.min(await this.#seek(at, "data"), end);
      if (dataAt > at) {
        extents.push({ offsetBytes: at, lengthBytes: dataAt - at, kind: "hole" });
        at = dataAt;
        continue;
      }
      const holeAt = Math.min(await this.#seek(at, "hole"), end);
      extents.push({ offsetBytes: at, lengthBytes: holeAt - at, kind: "data" });
      at = holeAt;
    }
    return extents;
  }

  async close(): Promise<void> {
    await this.#did("close", this.#file.close());
  }

  /** Where data or a hole begins, in whole blocks; the end of the device when there is none behind `position`. */
  async #seek(position: number, what: "data" | "hole"): Promise<number> {
    const found = await this.#calls.seek(this.#file.fd, position, what);
    if (found < 0) {
      if (errnoName(found) === "ENXIO") return this.sizeBytes;
      // Neither known: all of it is data.
      if (errnoName(found) === "EINVAL") return what === "data" ? position : this.sizeBytes;
      throw this.#error("lseek", found);
    }
    const blocks = what === "data" ? Math.floor(found / BLOCK_BYTES) : Math.ceil(found / BLOCK_BYTES);
    return blocks * BLOCK_BYTES;
  }

  async #did<Result>(call: string, work: Promise<Result>): Promise<Result> {
    try {
      return await work;
    } catch (cause) {
      throw this.#error(call, cause);
    }
  }

  #error(call: string, cause: unknown): RopewalkError {
    return diskError({ call, path: this.#path, cause, codes: FULL });
  }
}
