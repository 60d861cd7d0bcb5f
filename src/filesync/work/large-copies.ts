/**
 * Large files, sent in parts: whole, or only the blocks in which the target's file differs.
 *
 * Always holds: nobody sees a file at the target before all of it is there; memory is a few parts for each file, however
 * long. A file that changes while it is copied is copied first and changed afterwards: an event of it follows (F10). What is
 * open for a copy ends with its connection. What fails with this one file, at either side, is an outcome; errors are those
 * of the connection, NO_SPACE and the like of the target.
 */
import { RopewalkError } from "../../base/errors.ts";
import type {
  FileAttributes,
  FileFailure,
  SourceFile,
  SourceTree,
  TargetFile,
  TreePath,
} from "../../ports/mod.ts";
import { isWirePath, packOperation } from "../../wire/filesync/mod.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { RunBudget } from "../threads/entry-work.ts";
import { troubleOfTarget } from "./failure-kinds.ts";

/** Of a file that the target has already: blocks that are compared by their hashes. */
const BLOCK_BYTES = 128 * 1024;
/** Compared in one request. */
const WINDOW_BYTES = 64 * 2 ** 20;
const PART_BYTES = 2 ** 20;
/** Parts under way. */
const PARTS_MAX = 6;

export interface LargeCopyRequest {
  readonly source: SourceTree;
  readonly connection: TargetConnection;
  readonly sourcePath: TreePath;
  readonly path: TreePath;
  /** `full`: the target's file is not looked at. */
  readonly mode: "full" | "incremental";
}

/** Nothing is there at the source, or one side cannot do it. */
export type LargeCopyEnd =
  | { readonly what: "absent" }
  | { readonly what: "failed"; readonly failure: FileFailure; readonly side: "source" | "target" };

export type LargeCopyOutcome =
  | { readonly what: "done"; readonly attributes: FileAttributes; readonly isTorn: boolean }
  | { readonly what: "putBack" }
  | LargeCopyEnd;

/** A call failed, and this file with it, but nothing else. */
class FileTrouble extends Error {
  readonly end: LargeCopyEnd;

  constructor(end: LargeCopyEnd) {
    super(end.what);
    this.end = end;
  }
}

export class LargeCopy {
  readonly connection: TargetConnection;
  readonly #file: SourceFile;
  readonly #target: TargetFile;
  /** The target has a file here whose blocks may be kept. */
  readonly #hasBase: boolean;
  readonly #seed: number;
  #offset = 0;
  readonly #buffers: Uint8Array[] = [];
  /** Bytes of it that were looked at or sent. */
  bytes = 0;

  private constructor(parts: {
    connection: TargetConnection;
    file: SourceFile;
    target: TargetFile;
    hasBase: boolean;
    seed: number;
  }) {
    this.connection = parts.connection;
    this.#file = parts.file;
    this.#target = parts.target;
    this.#hasBase = parts.hasBase;
    this.#seed = parts.seed;
  }

  static async begin(request: LargeCopyRequest): Promise<LargeCopy | LargeCopyEnd> {
    const { source, connection, sourcePath, path, mode } = request;
    if (!isWirePath(path))
      return { what: "failed", failure: { path, errno: "ENAMETOOLONG", doing: "begin" }, side: "target" };
    let file: SourceFile | undefined;
    try {
      file = await ofSource(source.open(sourcePath), { path: sourcePath, doing: "open" });
      // Any number does; it is the same at both ends.
      const seed = file.attributes.inode % 2 ** 32;
      const hasBase = mode !== "full" && (await hasFile(connection, path));
      const target = await ofTarget(connection.begin(path), { path, doing: "begin" });
      return new LargeCopy({ connection, file, target, hasBase, seed });
    } catch (error) {
      await file?.close();
      if (error instanceof FileTrouble) return error.end;
      throw error;
    }
  }

  /** Goes on to the end, or for as long as it may. But for `putBack`, nothing is open any more when it resolves. */
  async goOn(path: TreePath, budget: RunBudget): Promise<LargeCopyOutcome> {
    try {
      return await this.#goOn(path, budget);
    } catch (error) {
      if (!(error instanceof FileTrouble)) throw error;
      await this.drop();
      return error.end;
    }
  }

  async #goOn(path: TreePath, budget: RunBudget): Promise<LargeCopyOutcome> {
    const { sizeBytes } = this.#file.attributes;
    do {
      if (this.#offset >= sizeBytes) return await this.#commit(path);
      if (this.#hasBase) await this.#compareWindow(path);
      else await this.#sendWindow(path);
    } while (this.#offset >= sizeBytes || !budget.mustEnd());
    return { what: "putBack" };
  }

  /** Its connection ended, or it is begun anew. */
  async drop(): Promise<void> {
    await Promise.allSettled([this.#file.close(), this.#target.abort()]);
  }

  /** Data of the next window, holes left out. */
  async #sendWindow(path: TreePath): Promise<void> {
    const { sizeBytes } = this.#file.attributes;
    const end = Math.min(sizeBytes, this.#offset + PARTS_MAX * PART_BYTES);
    const at = Math.min(sizeBytes, await this.#sendData(path, this.#offset, end));
    this.bytes += Math.max(0, at - this.#offset);
    this.#offset = at;
  }

  /** Sends what is data in [begin, end); gives back where the next data begins, `end` or later. */
  async #sendData(path: TreePath, begin: number, end: number): Promise<number> {
    let at = begin;
    while (at < end) {
      const data = await ofSource(this.#file.dataAt(at), { path, doing: "read" });
      if (data === undefined) return this.#file.attributes.sizeBytes;
      const from = Math.max(at, data.offset);
      if (from >= end) return from;
      const to = Math.min(end, data.end);
      await this.#send(path, from, to);
      at = to;
    }
    return at;
  }

  /** Sends [from, to), several parts at a time. */
  async #send(path: TreePath, from: number, to: number): Promise<void> {
    const parts: { offset: number; length: number }[] = [];
    for (let offset = from; offset < to; offset += PART_BYTES)
      parts.push({ offset, length: Math.min(PART_BYTES, to - offset) });
    const workers = Array.from({ length: Math.min(PARTS_MAX, parts.length) }, async () => {
      const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const memory = buffer.subarray(0, part.length);
        const count = await ofSource(this.#file.read(part.offset, memory), { path, doing: "read" });
        // The file has become shorter; what is missing is zeros until its event is followed.
        if (count > 0)
          await ofTarget(this.#target.write(part.offset, memory.subarray(0, count)), {
            path,
            doing: "write",
          });
      }
      this.#buffers.push(buffer);
    });
    const outcomes = await Promise.allSettled(workers);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** Blocks of the next window that differ are sent, the others kept. */
  async #compareWindow(path: TreePath): Promise<void> {
    const { sizeBytes } = this.#file.attributes;
    const offset = this.#offset;
    const length = Math.min(WINDOW_BYTES, sizeBytes - offset);
    const request = { offset, length, blockBytes: BLOCK_BYTES, seed: this.#seed };
    const [ours, theirs] = await Promise.all([
      ofSource(this.#file.hashes(request), { path, doing: "read" }),
      this.connection.hashes(path, request),
    ]);
    const runs: { from: number; to: number; isSame: boolean }[] = [];
    for (let block = 0; block * BLOCK_BYTES < length; block += 1) {
      const from = offset + block * BLOCK_BYTES;
      const to = Math.min(offset + length, from + BLOCK_BYTES);
      const isSame = isSameHash(ours, theirs, block);
      const last = runs.at(-1);
      if (last?.isSame === isSame) last.to = to;
      else runs.push({ from, to, isSame });
    }
    for (const { from, to, isSame } of runs) {
      if (isSame) await ofTarget(this.#target.keep(from, to - from), { path, doing: "keep" });
      else await this.#sendData(path, from, to);
    }
    this.bytes += length;
    this.#offset = offset + length;
  }

  async #commit(path: TreePath): Promise<LargeCopyOutcome> {
    const { attributes, extended } = this.#file;
    const packed = packOperation({ op: "file", path, attributes, extended, extents: [] });
    const failure = await this.#target.commit(packed);
    if (failure !== undefined) {
      const trouble = troubleOfTarget(failure);
      if (trouble !== undefined) throw trouble;
      await this.#file.close();
      return { what: "failed", failure, side: "target" };
    }
    const now = await this.#file.now();
    await this.#file.close();
    return { what: "done", attributes, isTorn: !isSameVersion(attributes, now) };
  }
}

/** What a call on the source's file says: it is gone, or cannot be read. The tree as a whole may still be used. */
async function ofSource<Result>(
  call: Promise<Result>,
  { path, doing }: { path: TreePath; doing: string },
): Promise<Result> {
  try {
    return await call;
  } catch (error) {
    const code = error instanceof RopewalkError ? error.code : undefined;
    if (code === "NOT_FOUND") throw new FileTrouble({ what: "absent" });
    if (code !== "PERMISSION_DENIED" && code !== "IO_ERROR") throw error;
    const errno = code === "IO_ERROR" ? "EIO" : "EACCES";
    throw new FileTrouble({ what: "failed", failure: { path, errno, doing }, side: "source" });
  }
}

/** What a call on the target's file says of this one path: something else stands there, or it may not be written. */
async function ofTarget<Result>(
  call: Promise<Result>,
  { path, doing }: { path: TreePath; doing: string },
): Promise<Result> {
  try {
    return await call;
  } catch (error) {
    const code = error instanceof RopewalkError ? error.code : undefined;
    if (code !== "NOT_FOUND" && code !== "PERMISSION_DENIED") throw error;
    const errno = code === "NOT_FOUND" ? "ENOENT" : "EACCES";
    throw new FileTrouble({ what: "failed", failure: { path, errno, doing }, side: "target" });
  }
}

async function hasFile(connection: TargetConnection, path: TreePath): Promise<boolean> {
  const [there] = await connection.stat([path]);
  return there?.kind === "file" && there.sizeBytes > 0;
}

function isSameHash(ours: Uint8Array, theirs: Uint8Array, block: number): boolean {
  const at = block * 16;
  if (at + 16 > theirs.length || at + 16 > ours.length) return false;
  for (let index = at; index < at + 16; index += 1) if (ours[index] !== theirs[index]) return false;
  return true;
}

function isSameVersion(one: FileAttributes, other: FileAttributes): boolean {
  return (
    one.sizeBytes === other.sizeBytes &&
    one.modifiedSeconds === other.modifiedSeconds &&
    one.modifiedNanoseconds === other.modifiedNanoseconds &&
    one.changedSeconds === other.changedSeconds &&
    one.changedNanoseconds === other.changedNanoseconds
  );
}
