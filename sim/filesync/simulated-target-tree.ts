/**
 * The target's tree as one process of its daemon has it: operations take time, and may fail as armed.
 * Always holds: when the process is dead nothing more is done; what was done stays, temporaries too.
 */
import { RopewalkError } from "../../src/base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  FileFailure,
  HashRequest,
  ScanRequest,
  ScanResult,
  TargetFile,
  TargetTree,
  TreePath,
} from "../../src/ports/mod.ts";
import { readBundle, readOperation } from "../../src/wire/filesync/mod.ts";
import { hashBlocks, scanTree, someTime, type TreeSurroundings } from "./scan-tree.ts";
import { resized, type SimulatedTargetDisk, wholeOperation } from "./simulated-target-disk.ts";
import { FileError } from "./simulated-tree.ts";

const freeBytes = 1_000_000_000_000;

export interface TargetTreeOptions extends TreeSurroundings {
  /** Told before and after each operation; what is returned by the first is handed to the second. */
  readonly note?: (what: string, path: TreePath) => void;
}

export class SimulatedTargetTree implements TargetTree {
  readonly #disk: SimulatedTargetDisk;
  readonly #options: TargetTreeOptions;

  constructor(disk: SimulatedTargetDisk, options: TargetTreeOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  async root(): Promise<FileAttributes> {
    await someTime(this.#options);
    return this.#disk.tree.attributes(this.#disk.tree.root);
  }

  async apply(bundle: Uint8Array): Promise<ApplyResult> {
    const failures: ApplyResult["failures"][number][] = [];
    let done = 0;
    for (const [number, read] of readBundle(bundle).entries()) {
      const operation = wholeOperation(read);
      const path = operation.op === "rename" ? operation.to : operation.path;
      const temporary = operation.op === "file" ? this.#disk.makeTemporary(path) : undefined;
      if (this.#options.random.chance(0.4)) await someTime(this.#options);
      temporary?.remove();
      try {
        this.#disk.carryOut(operation);
        done++;
        this.#options.note?.(operation.op, path);
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        failures.push({ operation: number, path, errno: error.errno, doing: operation.op });
        this.#options.note?.(`${operation.op} ${error.errno}`, path);
      }
    }
    await someTime(this.#options);
    return { done, failures };
  }

  scan(request: ScanRequest): Promise<ScanResult> {
    return scanTree(this.#disk.tree, request, this.#options);
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    await someTime(this.#options);
    const { tree } = this.#disk;
    return paths.map((path) => {
      const inode = tree.find(path);
      return inode === undefined ? undefined : tree.attributes(inode);
    });
  }

  async begin(path: TreePath): Promise<TargetFile> {
    await someTime(this.#options);
    return new SimulatedTargetFile(this.#disk, path, this.#options);
  }

  async hashes(path: TreePath, request: HashRequest): Promise<Uint8Array> {
    await someTime(this.#options);
    const inode = this.#disk.tree.find(path);
    return inode?.kind === "file" ? hashBlocks(inode.content, request) : new Uint8Array(0);
  }

  async sync(): Promise<void> {
    const sync = this.#disk.beginSync();
    await someTime(this.#options);
    sync.done();
  }

  async freeBytes(): Promise<number> {
    await someTime(this.#options);
    return this.#disk.isFull ? 0 : freeBytes;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class SimulatedTargetFile implements TargetFile {
  readonly #disk: SimulatedTargetDisk;
  readonly #path: TreePath;
  readonly #options: TargetTreeOptions;
  readonly #temporary: { remove(): void } | undefined;
  #content: Uint8Array = new Uint8Array(0);
  #isOver = false;

  constructor(disk: SimulatedTargetDisk, path: TreePath, options: TargetTreeOptions) {
    this.#disk = disk;
    this.#path = path;
    this.#options = options;
    this.#temporary = disk.makeTemporary(path);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await someTime(this.#options);
    if (this.#disk.isFull) throw new RopewalkError("NO_SPACE", "The target's disk is full; free some space.");
    this.#put(offset, bytes);
  }

  async keep(offset: number, length: number): Promise<void> {
    await someTime(this.#options);
    const inode = this.#disk.tree.find(this.#path);
    if (inode?.kind === "file") this.#put(offset, inode.content.subarray(offset, offset + length));
  }

  async commit(packed: Uint8Array): Promise<FileFailure | undefined> {
    await someTime(this.#options);
    this.#end();
    const operation = readOperation(packed);
    if (operation.op !== "file") throw new RopewalkError("PROTOCOL_ERROR", "Only a file is committed.");
    const { extents: _, ...file } = operation;
    try {
      this.#disk.carryOut({ ...file, content: resized(this.#content, file.attributes.sizeBytes) });
      this.#options.note?.("commit", file.path);
      return undefined;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      return { path: file.path, errno: error.errno, doing: "commit" };
    }
  }

  async abort(): Promise<void> {
    await someTime(this.#options);
    this.#end();
  }

  #put(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#content.length) this.#content = resized(this.#content, end);
    this.#content.set(bytes, offset);
  }

  #end(): void {
    if (!this.#isOver) this.#temporary?.remove();
    this.#isOver = true;
  }
}
