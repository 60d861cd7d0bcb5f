/** What capture says of the source: one change after another, in the order in which they are to be replicated. */
import type { RopewalkError } from "../../base/errors.ts";
import type { FileFailure, TreePath } from "../../ports/mod.ts";
import { joinPath } from "../tree-path.ts";
import type { DirectoryNode } from "./directory-node.ts";

/** A name in a directory, wherever that directory is by now. */
export interface SourcePlace {
  readonly directory: DirectoryNode;
  /** Empty: the directory itself. */
  readonly name: string;
}

export type Change =
  | {
      readonly kind: "create" | "write" | "attribute" | "remove";
      readonly place: SourcePlace;
      /** As it was called when the change was noticed, after all changes before. */
      readonly path: TreePath;
      readonly isDirectory: boolean;
    }
  | {
      readonly kind: "rename";
      readonly place: SourcePlace;
      readonly from: TreePath;
      readonly path: TreePath;
      readonly isDirectory: boolean;
      /** Of a directory, where it is known: it, wherever it is by now. */
      readonly moved: DirectoryNode | undefined;
    }
  | {
      /** Something happened in it that is not known: it is to be compared; `all`: with everything below. */
      readonly kind: "repair";
      readonly place: SourcePlace;
      readonly path: TreePath;
      readonly depth: "one" | "all";
      readonly isDirectory: true;
    };

export interface ChangeListener {
  changed(change: Change): void;
  /** A directory that cannot be read. */
  failed(failure: FileFailure): void;
  /** The root is gone, unmounted, or cannot be watched; nothing further comes. */
  lost(reason: RopewalkError): void;
}

/** Where a place is at the source now; undefined: its directory was removed or moved away. */
export function sourcePathOf({ directory, name }: SourcePlace): TreePath | undefined {
  const { path } = directory;
  return path === undefined || name === "" ? path : joinPath(path, name);
}
