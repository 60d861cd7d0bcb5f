/**
 * Stages content of a bundle's files ahead: only temporaries are written, so that one sync serves many files, while
 * everything that can be seen still happens in the order of the operations.
 *
 * Always holds: content is staged ahead only where no operation in between can make another directory of the file's
 * parent; the look ahead ends at the first such file, and begins anew there. What cannot be staged ahead is tried again at
 * its turn, where its failure is told. With `batch` a staged file is durable when `stage` returns.
 * What was staged in part only (an attribute failed) by `part` is taken back, so that its failure is told at its turn.
 */
import { constants } from "node:os";
import type { TreePath } from "../../ports/file-tree.ts";
import type { Operation } from "../../wire/filesync/mod.ts";
import { GroupSync } from "./group-sync.ts";
import { ofMadeName } from "./refused-name.ts";
import { type FileOperation, type StageFailure, stageFile } from "./stage-file.ts";
import { nameOf, parentOf, type TargetDirectories } from "./target-directories.ts";
import { isOwnPath, type LostKinds, type TargetReference, temporaryName } from "./target-job.ts";
import { treeCalls } from "./tree-calls.ts";

const { EDQUOT, ENOSPC } = constants.errno;
/** Fewer files than this are synced one by one: a sync of the file system also writes what others left to it. */
export const GROUP_FILES_MIN = 8;

/** Whether the path or a directory that leads to it is one of `moved`. */
function isTouched(moved: ReadonlySet<TreePath>, path: TreePath): boolean {
  for (let at = path; at !== ""; at = parentOf(at)) if (moved.has(at)) return true;
  return false;
}

/** What an operation may make another directory of, or no directory. */
function noteMoved(operation: Operation, moved: Set<TreePath>): void {
  if (operation.op === "rename") moved.add(operation.from).add(operation.to);
  else if (operation.op !== "file" && operation.op !== "makeDirectory" && operation.op !== "attributes")
    moved.add(operation.path);
}

export interface StagingOptions {
  readonly target: TargetReference;
  readonly directories: TargetDirectories;
  readonly operations: readonly Operation[];
  readonly lost: LostKinds;
  /** Number of the bundle; with an operation's number it makes the name of a temporary. */
  readonly bundle: number;
  /** Number of the first operation, where these are a part of a bundle. */
  readonly first: number;
}

export class StagedContent {
  readonly #options: StagingOptions;
  readonly #sync: GroupSync;
  /** Attributes of staged files that could not be set. */
  readonly #partly = new Map<number, StageFailure>();
  /** By operation: 1 staged, 2 in its place. */
  readonly staged: Uint8Array<ArrayBuffer>;
  #lookedUntil = 0;

  constructor(options: StagingOptions) {
    this.#options = options;
    this.#sync = new GroupSync(options.target.sync);
    this.staged = new Uint8Array(options.operations.length);
  }

  temporary(index: number): string {
    const { target, bundle, first } = this.#options;
    return temporaryName(target.session, `${bundle}.${first + index}`);
  }

  /** Makes sure that the file's content is there, and that of files behind it. */
  stage(index: number): StageFailure | undefined {
    if (this.staged[index] === 0 && this.#lookedUntil <= index) this.ahead(index);
    if (this.staged[index] === 1) return this.#partly.get(index);
    const isDurable = this.#options.target.durability === "batch";
    return this.#one(index, isDurable);
  }

  /** Stages all that can be staged from the file on. */
  ahead(from: number): void {
    const isBatch = this.#options.target.durability === "batch";
    const chosen = isBatch ? this.#choose(from) : [from];
    if (!isBatch) this.#lookedUntil = from + 1;
    const isGroup = isBatch && chosen.length >= GROUP_FILES_MIN;
    this.#write(chosen, isBatch && !isGroup);
    if (isGroup) this.sync();
  }

  /** Stages all of a part of a bundle; `sync` of the whole bundle makes it durable. */
  part(): void {
    this.#write(this.#choose(0), false);
    for (const index of this.#partly.keys()) this.discard(index);
  }

  /** Makes durable what is staged; what cannot be may not get its name. */
  sync(): void {
    if (this.#sync.wait(this.#options.directories.rootFd) === 0) return;
    for (let index = 0; index < this.staged.length; index += 1) this.discard(index);
  }

  #write(chosen: readonly number[], isDurable: boolean): void {
    for (const index of chosen) {
      const failure = this.#one(index, isDurable);
      if (failure?.result === -ENOSPC || failure?.result === -EDQUOT) break;
    }
  }

  #choose(from: number): number[] {
    const { operations } = this.#options;
    const moved = new Set<TreePath>();
    const chosen: number[] = [];
    let index = from;
    for (; index < operations.length; index += 1) {
      const operation = operations[index]!;
      if (operation.op !== "file") noteMoved(operation, moved);
      else if (moved.size > 0 && isTouched(moved, parentOf(operation.path))) break;
      else if (this.staged[index] === 0) chosen.push(index);
    }
    this.#lookedUntil = index;
    return chosen;
  }

  #one(index: number, isDurable: boolean): StageFailure | undefined {
    const { lost, first, operations, directories } = this.#options;
    const operation = operations[index] as FileOperation;
    if (isOwnPath(operation.path)) return undefined;
    directories.settle();
    const directory = directories.openOrMake(parentOf(operation.path));
    if (typeof directory === "number")
      return { result: directory, doing: "open the directory", isStaged: false };
    lost.at(first + index, operation.path);
    const failure = stageFile({ directory, temporary: this.temporary(index), operation, isDurable }, lost);
    if (failure !== undefined && !failure.isStaged) return failure;
    this.staged[index] = 1;
    if (failure !== undefined) this.#partly.set(index, failure);
    return failure;
  }

  discard(index: number): void {
    if (this.staged[index] !== 1) return;
    this.staged[index] = 0;
    const path = (this.#options.operations[index] as FileOperation).path;
    const directory = this.#options.directories.open(parentOf(path));
    if (typeof directory !== "number") treeCalls.unlinkat(directory.fd, this.temporary(index));
  }

  /** Puts the staged file in the place of its name. */
  place(index: number, directory: number): number {
    const path = (this.#options.operations[index] as FileOperation).path;
    const from = { directory, name: this.temporary(index) };
    const result = ofMadeName(
      treeCalls.renameat2(directory, from.name, directory, nameOf(path)),
      directory,
      from,
    );
    if (result === 0) this.staged[index] = 2;
    return result;
  }
}
