/**
 * Carries out the operations of a bundle, one after the other.
 *
 * Always holds: what can be seen happens in the order of the operations; one that fails does not stop the others. Paths
 * are worked on in directories opened below the root; a name made is a temporary first, then renamed over what is there.
 * What is in the way and must go goes by the policy: removed (mirror), moved (trash), or EEXIST (keep). Where the file
 * system takes names for the same that differ in case, nothing is done under a name that stands there in another spelling.
 */
import { releaseMemory } from "../../base/release-memory.ts";
import type { TreePath } from "../../ports/file-tree.ts";
import { type Operation, readBundle } from "../../wire/filesync/mod.ts";
import type { FailedStep, WantedAttributes } from "./apply-attributes.ts";
import { changeContent } from "./change-content.ts";
import { EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, ENOTUNIQ, EPERM, errnoName } from "./errno-names.ts";
import { lastStatus } from "./last-status.ts";
import { type OpenedRoot, withRoot } from "./opened-root.ts";
import { PolicyRemoval } from "./policy-removal.ts";
import { ofMadeName } from "./refused-name.ts";
import { setAttributes } from "./set-attributes.ts";
import { stageNode } from "./stage-node.ts";
import { StagedContent } from "./staged-content.ts";
import { nameOf, parentOf, TargetDirectories, type TargetDirectory } from "./target-directories.ts";
import {
  isOwnPath,
  type LostKind,
  LostKinds,
  type OperationFailure,
  type TargetReference,
  temporaryName,
} from "./target-job.ts";
import { copied, type Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";

const NEW_DIRECTORY_MODE = 0o700;
/** Others may put something in the way again and again. */
const TRIES_MAX = 4;

export interface ApplyJob {
  readonly target: TargetReference;
  readonly bytes: Uint8Array;
  readonly bundle: number;
  /** Milliseconds since 1970, for the trash. */
  readonly nowMs: number;
  /** What `stageBundle` has staged. */
  readonly before?: StagedBefore;
  /** Sessions whose temporaries are in use. */
  readonly live: readonly string[];
}

export interface StagedBefore {
  /** Of each operation, 1 when its content is staged. */
  readonly staged: Uint8Array;
  /** What came of the sync behind it: 0, or a negated errno. */
  readonly synced: number;
}

export interface AppliedBundle {
  readonly done: number;
  readonly failures: readonly OperationFailure[];
  readonly lost: readonly LostKind[];
}

type Op<Name extends Operation["op"]> = Operation & { readonly op: Name };

class BundleRun {
  readonly #job: ApplyJob;
  readonly #operations: readonly Operation[];
  readonly #directories: TargetDirectories;
  readonly #content: StagedContent;
  readonly #removal: PolicyRemoval;
  readonly #lost = new LostKinds();
  readonly #failures: OperationFailure[] = [];
  #index = 0;
  #hasFailed = false;

  constructor(root: OpenedRoot, job: ApplyJob) {
    const { target, bundle, nowMs, live } = job;
    this.#job = job;
    this.#operations = readBundle(job.bytes);
    this.#directories = new TargetDirectories(root);
    this.#content = new StagedContent({
      target,
      directories: this.#directories,
      operations: this.#operations,
      lost: this.#lost,
      bundle,
      first: 0,
    });
    this.#removal = new PolicyRemoval({
      deletes: target.deletes,
      directories: this.#directories,
      nowMs,
      live,
    });
    if (job.before === undefined) return;
    const { staged, synced } = job.before;
    this.#content.staged.set(staged);
    // What is not durable may not get its name.
    if (synced < 0) for (const index of staged.keys()) this.#content.discard(index);
  }

  run(): AppliedBundle {
    let done = 0;
    try {
      for (const [index, operation] of this.#operations.entries()) {
        this.#index = index;
        this.#hasFailed = false;
        this.#directories.settle();
        this.#apply(operation);
        if (!this.#hasFailed) done += 1;
      }
    } finally {
      this.#directories.close();
    }
    return { done, failures: this.#failures, lost: this.#lost.all };
  }

  #fail(result: number, doing: string, path: TreePath): void {
    this.#failures.push({ operation: this.#index, path, errno: errnoName(result), doing });
    this.#hasFailed = true;
  }

  /** Tells of a result that is no success. */
  #check(result: number, doing: string, path: TreePath): boolean {
    if (result < 0) this.#fail(result, doing, path);
    return result >= 0;
  }

  #checkStep(failed: FailedStep | undefined, path: TreePath): void {
    if (failed !== undefined) this.#fail(failed.result, failed.doing, path);
  }

  #apply(operation: Operation): void {
    const path = operation.op === "rename" ? operation.from : operation.path;
    const other =
      operation.op === "rename" ? operation.to : operation.op === "link" ? operation.existing : "";
    if (isOwnPath(path) || isOwnPath(other)) {
      this.#fail(-EPERM, "work on a name of Ropewalk's own", path);
      return;
    }
    if (this.#job.target.abilities.foldsCase && this.#isSpeltOtherwise(operation)) return;
    this.#lost.at(this.#index, path);
    switch (operation.op) {
      case "makeDirectory":
        this.#makeDirectory(operation);
        break;
      case "file":
        this.#file(operation);
        break;
      case "symlink":
      case "special":
        this.#node(operation);
        break;
      case "link":
        this.#link(operation);
        break;
      case "rename":
        this.#rename(operation);
        break;
      case "remove":
        this.#remove(operation);
        break;
      case "attributes":
        this.#attributes(operation);
        break;
      case "truncate":
      case "writeRange":
        this.#change(operation);
        break;
    }
  }

  /** Whether the operation is not to be done, as one of its names stands there in another spelling. */
  #isSpeltOtherwise(operation: Operation): boolean {
    const { op } = operation;
    const paths =
      op === "rename"
        ? isRespelling(operation)
          ? [operation.from]
          : [operation.from, operation.to]
        : op === "link"
          ? [operation.existing, operation.path]
          : [operation.path];
    const other = paths
      .map((path) => this.#directories.otherSpelling(path))
      .find((found) => found !== undefined);
    if (other === undefined) return false;
    if (op === "file") this.#content.discard(this.#index);
    // What is to be removed was never made.
    if (op !== "remove") this.#fail(-ENOTUNIQ, "use a name that stands there in another spelling", paths[0]!);
    return true;
  }

  /** The directory that a name is made in; undefined after a failure was told. */
  #parent(path: TreePath): TargetDirectory | undefined {
    return this.#checkOpened(this.#directories.openOrMake(parentOf(path)), path);
  }

  /** The directory that a name stands in; undefined after a failure was told. */
  #parentThere(path: TreePath): TargetDirectory | undefined {
    return this.#checkOpened(this.#directories.open(parentOf(path)), path);
  }

  #checkOpened(opened: TargetDirectory | number, path: TreePath): TargetDirectory | undefined {
    if (typeof opened !== "number") return opened;
    this.#fail(opened, "open the directory", path);
    return undefined;
  }

  /** Calls `put` until nothing is in the way any more. */
  #putOver(directory: TargetDirectory, path: TreePath, put: () => number): number {
    for (let tries = 1; ; tries += 1) {
      const result = put();
      const isInTheWay =
        result === -EISDIR || result === -EEXIST || result === -ENOTDIR || result === -ENOTEMPTY;
      if (!isInTheWay || tries === TRIES_MAX) return result;
      const cleared = this.#removal.makeWay(directory, path);
      if (cleared < 0) return cleared;
      this.#directories.forget();
    }
  }

  #makeDirectory(operation: Op<"makeDirectory">): void {
    const { path } = operation;
    if (path === "") {
      this.#attributes({ ...operation, op: "attributes" });
      return;
    }
    const directory = this.#parent(path);
    if (directory === undefined) return;
    const name = nameOf(path);
    const result = this.#putOver(directory, path, () => {
      const made = ofMadeName(treeCalls.mkdirat(directory.fd, name, NEW_DIRECTORY_MODE), directory.fd);
      if (made !== -EEXIST) return made;
      const found = treeCalls.statat(directory.fd, name);
      if (found < 0) return found;
      return lastStatus.kind === "directory" ? 0 : -EEXIST;
    });
    if (this.#check(result, "mkdir", path)) this.#setAttributes(directory, path, this.#enterable(operation));
  }

  /** For a user that is not root: files are to be made in it. Its own `attributes` follow behind them. */
  #enterable(operation: Op<"makeDirectory">): WantedAttributes {
    if (this.#job.target.abilities.ownership) return operation;
    const { attributes, extended } = operation;
    return { extended, attributes: { ...attributes, mode: attributes.mode | NEW_DIRECTORY_MODE } };
  }

  #file(operation: Op<"file">): void {
    const { path } = operation;
    const failed = this.#content.stage(this.#index);
    if (failed !== undefined) this.#fail(failed.result, failed.doing, path);
    if (failed?.isStaged === false) return;
    const directory = this.#parent(path);
    if (directory === undefined) {
      this.#content.discard(this.#index);
      return;
    }
    const result = this.#putOver(directory, path, () => this.#content.place(this.#index, directory.fd));
    if (!this.#check(result, "rename", path)) this.#content.discard(this.#index);
  }

  /** Symbolic links and special files. */
  #node(operation: Op<"symlink"> | Op<"special">): void {
    const { path } = operation;
    const directory = this.#parent(path);
    if (directory === undefined) return;
    const temporary = this.#temporary();
    const failed = stageNode({ directory, temporary, operation }, this.#lost);
    this.#checkStep(failed, path);
    if (failed?.isStaged !== false) this.#place(directory, temporary, path);
  }

  #temporary(): string {
    return temporaryName(this.#job.target.session, `${this.#job.bundle}.${this.#index}`);
  }

  #place(directory: TargetDirectory, temporary: string, path: TreePath): void {
    const from = { directory: directory.fd, name: temporary };
    const result = this.#putOver(directory, path, () =>
      ofMadeName(
        treeCalls.renameat2(directory.fd, temporary, directory.fd, nameOf(path)),
        directory.fd,
        from,
      ),
    );
    // A rename over another name of the same file does nothing, and leaves the temporary.
    if (!this.#check(result, "rename", path) || treeCalls.statat(directory.fd, temporary) === 0)
      treeCalls.unlinkat(directory.fd, temporary);
  }

  #link({ path, existing }: Op<"link">): void {
    const from = this.#parentThere(existing);
    if (from === undefined) return;
    const directory = this.#parent(path);
    if (directory === undefined) return;
    if (!this.#check(treeCalls.statat(from.fd, nameOf(existing)), "link", existing)) return;
    const { inode, device } = lastStatus;
    const there = treeCalls.statat(directory.fd, nameOf(path));
    if (there === 0 && lastStatus.inode === inode && lastStatus.device === device) return;
    const temporary = this.#temporary();
    const linked = treeCalls.linkat(from.fd, nameOf(existing), directory.fd, temporary);
    if (this.#check(linked, "link", path)) this.#place(directory, temporary, path);
  }

  #rename({ from, to }: Op<"rename">): void {
    const source = this.#directories.open(parentOf(from));
    if (typeof source === "number") {
      this.#fail(source, "rename", from);
      return;
    }
    const directory = this.#parent(to);
    if (directory === undefined) return;
    const put = () =>
      ofMadeName(treeCalls.renameat2(source.fd, nameOf(from), directory.fd, nameOf(to)), directory.fd, {
        directory: source.fd,
        name: nameOf(from),
      });
    let result = put();
    if (result === -EEXIST) result = -ENOTEMPTY;
    // Only what is of another kind is in the way; a full directory is for the source to look at.
    if (result === -EISDIR || result === -ENOTDIR) {
      const cleared = this.#removal.makeWay(directory, to);
      result = cleared < 0 ? cleared : put();
    }
    if (this.#check(result === -EEXIST ? -ENOTEMPTY : result, "rename", from))
      this.#dropSecondName(source, from, directory, to);
    this.#directories.forget();
  }

  /** Two names of one file: rename does nothing then, and both stay. */
  #dropSecondName(source: TargetDirectory, from: TreePath, directory: TargetDirectory, to: TreePath): void {
    if (from === to || (this.#job.target.abilities.foldsCase && isRespelling({ from, to }))) return;
    if (treeCalls.statat(source.fd, nameOf(from)) < 0) return;
    const { inode } = lastStatus;
    if (treeCalls.statat(directory.fd, nameOf(to)) === 0 && lastStatus.inode === inode)
      treeCalls.unlinkat(source.fd, nameOf(from));
  }

  #remove({ path, recursive }: Op<"remove">): void {
    if (this.#job.target.deletes === "keep") return;
    const directory = this.#directories.open(parentOf(path));
    // What leads there is gone or no directory: so is the path.
    if (directory === -ENOENT || directory === -ENOTDIR) return;
    if (typeof directory === "number") {
      this.#fail(directory, "open the directory", path);
      return;
    }
    const result = this.#removal.remove(directory, path, recursive);
    // Gone already is as good.
    if (result !== -ENOENT) this.#check(result, "remove", path);
    this.#directories.forget();
  }

  #attributes(operation: Op<"attributes">): void {
    const { path } = operation;
    const directory = this.#parentThere(path);
    if (directory === undefined) return;
    this.#setAttributes(directory, path, operation);
  }

  #setAttributes(directory: TargetDirectory, path: TreePath, wanted: WantedAttributes): void {
    const { abilities } = this.#job.target;
    const failed = setAttributes(directory.fd, nameOf(path), wanted, { lost: this.#lost, abilities });
    this.#checkStep(failed, path);
  }

  #change(operation: Op<"truncate"> | Op<"writeRange">): void {
    const { path } = operation;
    const directory = this.#parentThere(path);
    if (directory === undefined) return;
    this.#checkStep(changeContent(directory.fd, nameOf(path), operation), path);
  }
}

/** Whether a file gets the same name in other letters. */
function isRespelling({ from, to }: { readonly from: TreePath; readonly to: TreePath }): boolean {
  const folded = (path: TreePath) => Buffer.from(path, "latin1").toString().toLowerCase();
  return parentOf(from) === parentOf(to) && folded(from) === folded(to);
}

/** The handler of a target's thread. PROTOCOL_ERROR */
export function applyBundle(job: ApplyJob): Handed<AppliedBundle> {
  const result = withRoot(job.target.root, (root) => copied(new BundleRun(root, job).run()));
  releaseMemory(job.bytes);
  return result;
}
