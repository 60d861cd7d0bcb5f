/**
 * One open file of a directory disk.
 *
 * Always holds: the descriptor is closed only after the last call that uses it has ended, so that no call ever
 * meets another file under a reused number; nothing is retried after a failed write or sync.
 * Errors: IO_ERROR with the call, the file and the errno.
 */
import { close, fdatasync, read, readSync, writeSync, writev, writevSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { RopewalkError } from "../base/errors.ts";
import type { DiskFile } from "../ports/mod.ts";
import { diskError, errnoName } from "./disk-error.ts";
import type { LinuxCalls } from "./linux-calls.ts";
import type { FailedWrite, HostPageThreads } from "./page-threads/page-threads.ts";

/** What one pwritev may take (IOV_MAX). */
const PARTS_PER_CALL_MAX = 1024;
const PAGE_BYTES = 4096;
const CLOSED = -1;
/** So much written in a row is worth beginning to write to the device. */
const WRITEBACK_BYTES = 1024 * 1024;

export class DirectoryDiskFile implements DiskFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #path: string;
  readonly #calls: LinuxCalls;
  readonly #pageThreads: HostPageThreads | undefined;
  #fd: number;
  /** Some file systems have no RWF_NOWAIT; their reads wait for the device. */
  #nowait = true;
  #callsInFlight = 0;
  #idle: (() => void) | undefined;
  /** What was written in a row and is not on its way to the device, as far as is known. */
  #rowFrom = 0;
  #rowEnd = 0;
  #isWritingBack = false;

  constructor(options: {
    path: string;
    name: string;
    fd: number;
    sizeBytes: number;
    calls: LinuxCalls;
    pageThreads: HostPageThreads | undefined;
  }) {
    this.name = options.name;
    this.sizeBytes = options.sizeBytes;
    this.#path = options.path;
    this.#fd = options.fd;
    this.#calls = options.calls;
    this.#pageThreads = options.pageThreads;
  }

  write(position: number, parts: readonly Uint8Array[]): void {
    assert(this.#fd !== CLOSED, "a closed file is not written");
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    assert(position >= 0 && position + lengthBytes <= this.sizeBytes, "a write stays inside its file");
    if (lengthBytes === 0) return;
    this.#writeBehind(position, lengthBytes);
    if (parts.length === 1) {
      this.#writeOne(position, parts[0]!);
      return;
    }
    if (parts.length <= PARTS_PER_CALL_MAX) {
      this.#writeSome(position, parts);
      return;
    }
    for (let first = 0; first < parts.length; first += PARTS_PER_CALL_MAX) {
      position += this.#writeSome(position, parts.slice(first, first + PARTS_PER_CALL_MAX));
    }
  }

  async writeAside(position: number, parts: readonly Uint8Array[]): Promise<void> {
    assert(this.#fd !== CLOSED, "a closed file is not written");
    for (let first = 0, at = position; first < parts.length; first += PARTS_PER_CALL_MAX) {
      const some = parts.slice(first, first + PARTS_PER_CALL_MAX);
      let lengthBytes = 0;
      for (const part of some) lengthBytes += part.length;
      assert(at >= 0 && at + lengthBytes <= this.sizeBytes, "a write stays inside its file");
      this.#writeBehind(at, lengthBytes);
      const aside = this.#pageThreads?.write(this.#fd, at, some);
      if (aside !== undefined) {
        const failed = await this.#inFlight<FailedWrite | undefined>((resolve) => void aside.then(resolve));
        if (failed !== undefined)
          throw diskError({ call: "pwritev", path: this.#path, cause: -failed.errno });
        at += lengthBytes;
        continue;
      }
      const written = await this.#inFlight<number>(
        (resolve, reject) =>
          void writev(this.#fd, some, at, (cause, count) =>
            cause ? reject(diskError({ call: "pwritev", path: this.#path, cause })) : resolve(count),
          ),
      );
      if (written !== lengthBytes) throw this.#shortWrite("pwritev", at, lengthBytes, written);
      at += lengthBytes;
    }
  }

  readNow(position: number, target: Uint8Array, targetOffset: number, length: number): boolean {
    this.#checkRead(position, target, targetOffset, length);
    if (length === 0) return true;
    if (!this.#nowait) return this.#readWaiting(position, target, targetOffset, length);
    const count = this.#calls.readNowait(this.#fd, target, targetOffset, length, position);
    if (count === length) return true;
    if (count > 0) return false;
    if (count === 0) throw this.#endOfFile(position);
    return this.#afterNowaitError(count, position, target, targetOffset, length);
  }

  async read(position: number, target: Uint8Array, targetOffset: number, length: number): Promise<void> {
    this.#checkRead(position, target, targetOffset, length);
    let done = 0;
    while (done < length) {
      const count = await this.#readSome(position + done, target, targetOffset + done, length - done);
      if (count === 0) throw this.#endOfFile(position + done);
      done += count;
    }
  }

  readPages(position: number, target: Uint8Array, sums: Uint32Array): Promise<boolean> | undefined {
    this.#checkRead(position, target, 0, target.length);
    const reading = this.#pageThreads?.read(this.#fd, position, target, sums);
    if (reading === undefined) return undefined;
    return this.#inFlight((resolve) => void reading.then(resolve));
  }

  sync(): Promise<void> {
    assert(this.#fd !== CLOSED, "a closed file is not synced");
    return this.#inFlight(
      (resolve, reject) =>
        void fdatasync(this.#fd, (cause) =>
          cause ? reject(diskError({ call: "fdatasync", path: this.#path, cause })) : resolve(),
        ),
    );
  }

  async dropCache(): Promise<void> {
    assert(this.#fd !== CLOSED, "a closed file is in no cache");
    const cause = await this.#inFlight<number>(
      (resolve, reject) => void this.#calls.dropCache(this.#fd).then(resolve, reject),
    );
    if (cause !== 0) throw diskError({ call: "posix_fadvise", path: this.#path, cause });
  }

  async close(): Promise<void> {
    assert(this.#fd !== CLOSED, "a file is closed once");
    const fd = this.#fd;
    this.#fd = CLOSED;
    if (this.#callsInFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await new Promise<void>((resolve, reject) => {
      close(fd, (cause) =>
        cause ? reject(diskError({ call: "close", path: this.#path, cause })) : resolve(),
      );
    });
  }

  /**
   * A write is about to be made. Of those before it in the row the kernel begins to write a mebibyte at a time, so that
   * a sync finds little left to do: it holds up other writers for as long as it takes
   * (docs/decisions/write-behind.md).
   */
  #writeBehind(position: number, lengthBytes: number): void {
    if (position !== this.#rowEnd) this.#rowFrom = position;
    this.#rowEnd = position + lengthBytes;
    if (position - this.#rowFrom < WRITEBACK_BYTES || this.#isWritingBack) return;
    // Once more what may not have been with the kernel the last time.
    const from = Math.max(0, this.#rowFrom - WRITEBACK_BYTES);
    const to = position - (position % PAGE_BYTES);
    const begun = this.#calls.beginWriteback(this.#fd, from, to - from);
    this.#rowFrom = to;
    this.#isWritingBack = true;
    const ended = () => {
      this.#isWritingBack = false;
    };
    // What the kernel does not begin is for the sync to tell.
    void this.#inFlight<unknown>((resolve) => void begun.then(resolve, resolve)).then(ended);
  }

  /** Also keeps `readNow` from writing outside `target`: it works on addresses. */
  #checkRead(position: number, target: Uint8Array, targetOffset: number, length: number): void {
    assert(this.#fd !== CLOSED, "a closed file is not read");
    assert(Number.isSafeInteger(position) && position >= 0, "a read begins inside its file");
    assert(
      Number.isInteger(targetOffset) && targetOffset >= 0 && Number.isInteger(length) && length >= 0,
      "a read's place in its buffer is a whole number of bytes",
    );
    assert(targetOffset + length <= target.length, "a read stays inside its buffer");
  }

  #writeOne(position: number, part: Uint8Array): void {
    let written: number;
    try {
      written = writeSync(this.#fd, part, 0, part.length, position);
    } catch (cause) {
      throw diskError({ call: "pwrite", path: this.#path, cause });
    }
    if (written !== part.length) throw this.#shortWrite("pwrite", position, part.length, written);
  }

  #writeSome(position: number, parts: readonly Uint8Array[]): number {
    let lengthBytes = 0;
    for (const part of parts) lengthBytes += part.length;
    let written: number;
    try {
      written = writevSync(this.#fd, parts, position);
    } catch (cause) {
      throw diskError({ call: "pwritev", path: this.#path, cause });
    }
    if (written !== lengthBytes) throw this.#shortWrite("pwritev", position, lengthBytes, written);
    return lengthBytes;
  }

  #readWaiting(position: number, target: Uint8Array, targetOffset: number, length: number): boolean {
    let done = 0;
    while (done < length) {
      let count: number;
      try {
        count = readSync(this.#fd, target, targetOffset + done, length - done, position + done);
      } catch (cause) {
        throw diskError({ call: "pread", path: this.#path, cause });
      }
      if (count === 0) throw this.#endOfFile(position + done);
      done += count;
    }
    return true;
  }

  #afterNowaitError(
    cause: number,
    position: number,
    target: Uint8Array,
    targetOffset: number,
    length: number,
  ): boolean {
    switch (errnoName(cause)) {
      case "EAGAIN":
      case "EINTR":
        return false;
      case "ENOTSUP":
      case "EOPNOTSUPP":
      case "ENOSYS":
        this.#nowait = false;
        return this.#readWaiting(position, target, targetOffset, length);
      default:
        throw diskError({ call: "preadv2", path: this.#path, cause });
    }
  }

  #readSome(position: number, target: Uint8Array, targetOffset: number, length: number): Promise<number> {
    assert(this.#fd !== CLOSED, "a closed file is not read");
    return this.#inFlight(
      (resolve, reject) =>
        void read(this.#fd, target, targetOffset, length, position, (cause, count) =>
          cause ? reject(diskError({ call: "pread", path: this.#path, cause })) : resolve(count),
        ),
    );
  }

  async #inFlight<Value>(
    start: (resolve: (value: Value) => void, reject: (error: unknown) => void) => void,
  ): Promise<Value> {
    this.#callsInFlight++;
    try {
      return await new Promise<Value>(start);
    } finally {
      if (--this.#callsInFlight === 0) this.#idle?.();
    }
  }

  #endOfFile(position: number): RopewalkError {
    return new RopewalkError(
      "IO_ERROR",
      `pread of ${this.#path} found the file's end at ${position}; it was ${this.sizeBytes} bytes long when opened.`,
    );
  }

  #shortWrite(call: string, position: number, length: number, written: number): RopewalkError {
    return new RopewalkError(
      "IO_ERROR",
      `${call} of ${this.#path} at ${position} wrote ${written} of ${length} bytes.`,
    );
  }
}
