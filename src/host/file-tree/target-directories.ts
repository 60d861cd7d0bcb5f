/**
 * The directories that a job's paths are in, open for a run of operations, and what creation gives in each.
 *
 * Always holds: a directory is opened below the root, through no symbolic link. Its descriptor stays what it was when a
 * name on the way is changed by others; after the job's own renames and removals everything is opened anew.
 */
import type { TreePath } from "../../ports/file-tree.ts";
import { EEXIST, ENOENT } from "./errno-names.ts";
import { extendedCalls } from "./extended-calls.ts";
import { openDirectory } from "./open-directory.ts";
import type { OpenedRoot } from "./opened-root.ts";
import { ofMadeName } from "./refused-name.ts";
import { OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

const OPEN_MAX = 64;
const MADE_MODE = 0o700;

/** Owner and group of what is created in a directory: the user's, unless the directory hands its group on. */
export interface CreatedOwner {
  readonly userId: number;
  readonly groupId: number;
}

export class TargetDirectory {
  readonly fd: number;
  /** Of what was created in it last. */
  createdOwner: CreatedOwner | undefined;
  #handsAclOn: boolean | undefined;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** A default ACL: what is created has an ACL, and a mode of its making. */
  get handsAclOn(): boolean {
    return this.#handsAclOn ?? this.handedAclOn();
  }

  /** After something was created: another connection may have set one since it was asked for last. */
  handedAclOn(): boolean {
    this.#handsAclOn ||= typeof extendedCalls.fgetxattr(this.fd, "system.posix_acl_default") !== "number";
    return this.#handsAclOn;
  }
}

export function parentOf(path: TreePath): TreePath {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** The last name; `.` of the root. */
export function nameOf(path: TreePath): string {
  return path === "" ? "." : path.slice(path.lastIndexOf("/") + 1);
}

export class TargetDirectories {
  readonly #root: OpenedRoot;
  readonly #open = new Map<TreePath, TargetDirectory>();
  /** Directories that stand there as they are spelt. */
  readonly #spelt = new Set<TreePath>();
  /** Forgotten, but perhaps still in use by the operation that is under way. */
  readonly #forgotten: TargetDirectory[] = [];

  constructor(root: OpenedRoot) {
    this.#root = root;
  }

  get rootFd(): number {
    return this.#root.fd;
  }

  /** Negated errno: ENOENT; ENOTDIR where something else, a link too, is on the way. */
  open(path: TreePath): TargetDirectory | number {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    const fd = openDirectory(this.#root.fd, path);
    if (fd < 0) return fd;
    if (this.#open.size >= OPEN_MAX) this.forget();
    const opened = new TargetDirectory(fd);
    this.#open.set(path, opened);
    return opened;
  }

  /** Makes what is missing on the way, for its owner alone: the directory's own operation follows. */
  openOrMake(path: TreePath): TargetDirectory | number {
    const opened = this.open(path);
    if (opened !== -ENOENT || path === "") return opened;
    const parent = this.openOrMake(parentOf(path));
    if (typeof parent === "number") return parent;
    const made = ofMadeName(treeCalls.mkdirat(parent.fd, nameOf(path), MADE_MODE), parent.fd);
    return made < 0 && made !== -EEXIST ? made : this.open(path);
  }

  /**
   * The part of the path that stands there in another spelling, which the file system takes for the same, as letters of
   * the other case: it is another file's or directory's name.
   */
  otherSpelling(path: TreePath): TreePath | undefined {
    if (path === "" || this.#spelt.has(path)) return undefined;
    const above = parentOf(path);
    const found = this.otherSpelling(above);
    if (found !== undefined) return found;
    const directory = this.open(above);
    if (typeof directory === "number") return undefined;
    this.#spelt.add(above);
    return isOtherSpelling(directory.fd, nameOf(path)) ? path : undefined;
  }

  /** After names of directories may have become others. What was opened can be used until `settle`. */
  forget(): void {
    this.#forgotten.push(...this.#open.values());
    this.#open.clear();
    this.#spelt.clear();
  }

  /** Between operations: closes what was forgotten. */
  settle(): void {
    for (let last = this.#forgotten.pop(); last !== undefined; last = this.#forgotten.pop())
      treeCalls.close(last.fd);
  }

  close(): void {
    this.forget();
    this.settle();
  }
}

/** Whether the name is there, though no entry of the directory is spelt so. */
function isOtherSpelling(directory: number, name: string): boolean {
  if (treeCalls.statat(directory, name) < 0) return false;
  const fd = treeCalls.openBeneath(directory, "", OPEN_DIRECTORY);
  if (fd < 0) return false;
  const inside = treeCalls.readNames(fd);
  treeCalls.close(fd);
  return typeof inside !== "number" && !inside.names.includes(name);
}
