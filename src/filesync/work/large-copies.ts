/**
 * Large files, sent in parts: whole, or only the blocks in which the target's file differs.
 *
 * Always holds: nobody sees a file at the target before all of it is there; memory is a few parts for each file, however
 * long. A file that the target has with the same content is not written anew. A file that changes while it is copied is
 * copied first and changed afterwards: an event of it follows (F10). What is open for a copy ends with its connection. What
 * fails with this one file, at either side, is an outcome; errors are those of the connection, NO_SPACE and the like of the
 * target.
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
import { isSameContent, isWirePath, packOperation } from "../../wire/filesync/mod.ts";
import type { TargetConnection } from "../threads/connection.ts";
import type { RunBudget } from "../threads/entry-work.ts";
import { isOfOtherContent, troubleOfTarget } from "./failure-kinds.ts";

/** Of a file that the target has already: what is compared at a time, by hashes of blocks. */
const WINDOW_BYTES = 16 * 2 ** 20;
const BLOCK_BYTES = 512 * 1024;
/** Blocks that differ are compared once more, by these: few hashes and little content go over the wire. */
const FINE_BLOCK_BYTES = 16 * 1024;
const PART_BYTES = 2 ** 20;
/** Parts under way, or windows. */
const RANGES_MAX = 6;

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

/**
 * `prove`: the target's file has this size and time; it may be the same, and then only its attributes are set. `compare`:
 * blocks that it has are kept. `send`: there is none, or it is not to be looked at.
 */
type Step = "prove" | "compare" | "send";

interface FileRange {
  readonly from: number;
  readonly to: number;
}

export class LargeCopy {
  readonly connection: TargetConnection;
  readonly #file: SourceFile;
  /** Of the file that the target has. */
  readonly #baseBytes: number;
  /** Any number does; it is the same at both ends. */
  readonly #seed: number;
  #step: Step;
  /** The file of the target; none is begun while it may be the same. */
  #target: TargetFile | undefined;
  /** `prove` found that it is another. */
  #isOther = false;
  #offset = 0;
  /** The last range of data that was asked for: to find its end may take the kernel as long as the range. */
  #data: { readonly offset: number; readonly end: number } | undefined;
  readonly #buffers: Uint8Array[] = [];
  /** Bytes of it that were looked at or sent. */
  bytes = 0;

  private constructor(parts: {
    connection: TargetConnection;
    file: SourceFile;
    target: TargetFile | undefined;
    step: Step;
    baseBytes: number;
  }) {
    this.connection = parts.connection;
    this.#file = parts.file;
    this.#target = parts.target;
    this.#step = parts.step;
    this.#baseBytes = parts.baseBytes;
    this.#seed = parts.file.attributes.inode % 2 ** 32;
  }

  static async begin(request: LargeCopyRequest): Promise<LargeCopy | LargeCopyEnd> {
    const { source, connection, sourcePath, path, mode } = request;
    if (!isWirePath(path))
      return { what: "failed", failure: { path, errno: "ENAMETOOLONG", doing: "begin" }, side: "target" };
    let file: SourceFile | undefined;
    try {
      file = await ofSource(source.open(sourcePath), { path: sourcePath, doing: "open" });
      const base = mode === "full" ? undefined : await fileAt(connection, path);
      const step = stepOf(file.attributes, base);
      const target = step === "prove" ? undefined : await begun(connection, path);
      return new LargeCopy({ connection, file, target, step, baseBytes: base?.sizeBytes ?? 0 });
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
    for (;;) {
      await this.#work(path, budget);
      if (!this.#isOther) {
        if (this.#offset < sizeBytes) return { what: "putBack" };
        const outcome =
          this.#target === undefined ? await this.#setAttributes(path) : await this.#commit(path);
        if (outcome !== undefined) return outcome;
      }
      this.#isOther = false;
      this.#step = "compare";
      this.#offset = 0;
      this.#target = await begun(this.connection, path);
    }
  }

  /** Its connection ended, or it is begun anew. */
  async drop(): Promise<void> {
    await Promise.allSettled([this.#file.close(), this.#target?.abort()]);
  }

  /** Several ranges at a time; when it resolves, all before `#offset` is done. */
  async #work(path: TreePath, budget: RunBudget): Promise<void> {
    const ranges = this.#ranges(path, budget);
    const workers = Array.from({ length: RANGES_MAX }, async () => {
      for await (const range of ranges)
        if (range.to > this.#baseBytes || this.#step === "send") await this.#send(path, range);
        else if (this.#step === "prove") await this.#prove(path, range);
        else await this.#compare(path, range);
    });
    const outcomes = await Promise.allSettled(workers);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  /** From `#offset` on, to the end or for as long as it may: windows to be compared, behind them data to be sent. */
  async *#ranges(path: TreePath, budget: RunBudget): AsyncGenerator<FileRange, void, undefined> {
    const { sizeBytes } = this.#file.attributes;
    const comparedBytes = this.#step === "send" ? 0 : Math.min(this.#baseBytes, sizeBytes);
    for (let isFirst = true; this.#offset < sizeBytes && !this.#isOther; isFirst = false) {
      if (!isFirst && budget.mustEnd()) return;
      const before = this.#offset;
      let range: FileRange | undefined;
      if (before < comparedBytes)
        range = { from: before, to: Math.min(comparedBytes, before + WINDOW_BYTES) };
      else range = await this.#nextPart(path, { from: before, to: sizeBytes });
      this.#offset = range?.to ?? sizeBytes;
      this.bytes += this.#offset - before;
      if (range !== undefined) yield range;
    }
  }

  /** The first part of the range that is data, holes left out. */
  async #nextPart(path: TreePath, { from, to }: FileRange): Promise<FileRange | undefined> {
    if (this.#data === undefined || from < this.#data.offset || from >= this.#data.end) {
      this.#data = await ofSource(this.#file.dataAt(from), { path, doing: "read" });
      if (this.#data === undefined) return undefined;
    }
    const begin = Math.max(from, this.#data.offset);
    return begin < to ? { from: begin, to: Math.min(to, this.#data.end, begin + PART_BYTES) } : undefined;
  }

  async #send(path: TreePath, { from, to }: FileRange): Promise<void> {
    const buffer = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
    const memory = buffer.subarray(0, to - from);
    const count = await ofSource(this.#file.read(from, memory), { path, doing: "read" });
    // The file has become shorter; what is missing is zeros until its event is followed.
    if (count > 0)
      await ofTarget(this.#target!.write(from, memory.subarray(0, count)), { path, doing: "write" });
    this.#buffers.push(buffer);
  }

  async #prove(path: TreePath, window: FileRange): Promise<void> {
    const runs = await this.#runs(path, window, BLOCK_BYTES);
    if (runs.some(({ isSame }) => !isSame)) this.#isOther = true;
  }

  /** What differs in the window is sent, the rest kept. */
  async #compare(path: TreePath, window: FileRange): Promise<void> {
    const differing = (await this.#runs(path, window, BLOCK_BYTES)).filter(({ isSame }) => !isSame);
    const from = differing[0]?.from ?? window.to;
    const to = differing.at(-1)?.to ?? window.to;
    await this.#keep(path, { from: window.from, to: from });
    // One request for all of them: they are near to each other, and the way may be long.
    if (from < to) await this.#compareFine(path, { from, to });
    await this.#keep(path, { from: to, to: window.to });
  }

  async #compareFine(path: TreePath, range: FileRange): Promise<void> {
    for (const run of await this.#runs(path, range, FINE_BLOCK_BYTES))
      if (run.isSame) await this.#keep(path, run);
      else
        for (let from = run.from; from < run.to; ) {
          const part = await this.#nextPart(path, { from, to: run.to });
          if (part !== undefined) await this.#send(path, part);
          from = part?.to ?? run.to;
        }
  }

  async #keep(path: TreePath, { from, to }: FileRange): Promise<void> {
    if (from < to) await ofTarget(this.#target!.keep(from, to - from), { path, doing: "keep" });
  }

  /** The range as runs of blocks that are the same at both ends, or are not. */
  async #runs(
    path: TreePath,
    { from, to }: FileRange,
    blockBytes: number,
  ): Promise<{ readonly from: number; to: number; readonly isSame: boolean }[]> {
    const request = { offset: from, length: to - from, blockBytes, seed: this.#seed };
    const [ours, theirs] = await Promise.all([
      ofSource(this.#file.hashes(request), { path, doing: "read" }),
      this.connection.hashes(path, request),
    ]);
    const runs: { readonly from: number; to: number; readonly isSame: boolean }[] = [];
    for (let block = 0, at = from; at < to; block += 1, at += blockBytes) {
      const end = Math.min(to, at + blockBytes);
      const isSame = isSameHash(ours, theirs, block);
      const last = runs.at(-1);
      if (last?.isSame === isSame) last.to = end;
      else runs.push({ from: at, to: end, isSame });
    }
    return runs;
  }

  /** The content is there already. Undefined: not any more. */
  async #setAttributes(path: TreePath): Promise<LargeCopyOutcome | undefined> {
    const { attributes, extended } = this.#file;
    const packed = packOperation({ op: "attributes", path, attributes, extended });
    const [failure] = (await this.connection.apply(packed, 1, "kept")).failures;
    return failure !== undefined && isOfOtherContent(failure) ? undefined : this.#ended(failure);
  }

  async #commit(path: TreePath): Promise<LargeCopyOutcome> {
    const { attributes, extended } = this.#file;
    const packed = packOperation({ op: "file", path, attributes, extended, extents: [] });
    return this.#ended(await this.#target!.commit(packed));
  }

  async #ended(failure: FileFailure | undefined): Promise<LargeCopyOutcome> {
    const { attributes } = this.#file;
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

async function fileAt(connection: TargetConnection, path: TreePath): Promise<FileAttributes | undefined> {
  const [there] = await connection.stat([path]);
  return there?.kind === "file" && there.sizeBytes > 0 ? there : undefined;
}

function begun(connection: TargetConnection, path: TreePath): Promise<TargetFile> {
  return ofTarget(connection.begin(path), { path, doing: "begin" });
}

function stepOf(ours: FileAttributes, base: FileAttributes | undefined): Step {
  if (base === undefined) return "send";
  // The other names of a file may be those of another one at the target; then it gets a file of its own.
  const isAlone = ours.links === 1 && base.links === 1;
  return isAlone && isSameContent(ours, base) ? "prove" : "compare";
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
