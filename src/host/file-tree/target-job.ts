/**
 * What a job of a target's thread knows of its tree, and what it tells besides its result.
 *
 * Always holds: plain data, which goes from thread to thread. What the file system cannot keep is told once for each kind
 * by a job, and once by the tree: the file itself is replicated without it.
 */
import type { FileFailure, TreePath } from "../../ports/file-tree.ts";
import { type DeletesPolicy, OWN_PREFIX, type TargetAbilities } from "../../wire/filesync/mod.ts";
import { errnoName } from "./errno-names.ts";
import type { RootReference } from "./opened-root.ts";

/** `batch`: content survives a power failure before its name is seen. `none`: when the kernel gets to it. */
export type Durability = "batch" | "none";

export interface TargetReference {
  readonly root: RootReference;
  readonly deletes: DeletesPolicy;
  readonly durability: Durability;
  readonly abilities: TargetAbilities;
  /** Of this opening of the tree: part of the names of its temporaries. */
  readonly session: string;
  /** Words of `GroupSync`. */
  readonly sync: SharedArrayBuffer;
}

/** Sessions have 12 hexadecimal digits; what follows tells a session's temporaries apart. */
const TEMPORARY = /^\.ropewalk-([0-9a-f]{12})\./;

export function temporaryName(session: string, rest: string): string {
  return `${OWN_PREFIX}${session}.${rest}`;
}

/** The session that a name is a temporary of. */
export function sessionOf(name: string): string | undefined {
  return TEMPORARY.exec(name)?.[1];
}

/** Whether a path goes through Ropewalk's own names, which no source may touch. */
export function isOwnPath(path: TreePath): boolean {
  return path.startsWith(OWN_PREFIX) || path.includes(`/${OWN_PREFIX}`);
}

export interface OperationFailure extends FileFailure {
  readonly operation: number;
}

/** Something that the file system or the user's rights cannot keep. */
export interface LostKind extends OperationFailure {
  readonly kind: string;
}

/** The kinds that one job lost, each with the first file that it happened to. */
export class LostKinds {
  readonly #found = new Map<string, LostKind>();
  #path: TreePath = "";
  #operation = 0;

  /** What is told from now on belongs to this operation. */
  at(operation: number, path: TreePath): void {
    this.#operation = operation;
    this.#path = path;
  }

  add(kind: string, result: number, doing: string): void {
    if (this.#found.has(kind)) return;
    const errno = errnoName(result);
    this.#found.set(kind, { kind, errno, doing, path: this.#path, operation: this.#operation });
  }

  get all(): LostKind[] {
    return [...this.#found.values()];
  }
}
