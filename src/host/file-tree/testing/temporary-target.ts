/** Targets for tests: a directory opened as a target, and operations with attributes of their own choice. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { FileKind, TreePath } from "../../../ports/file-tree.ts";
import {
  type ExtendedAttribute,
  type Operation,
  packExtended,
  packOperation,
  type WireAttributes,
} from "../../../wire/filesync/mod.ts";
import { temporaryDirectory } from "../../testing/temporary-directory.ts";
import { type HostTargetTree, openTargetTree, type TargetTreeOptions } from "../target-tree.ts";

export interface TemporaryTarget {
  readonly path: string;
  readonly tree: HostTargetTree;
}

/** `path` is below a directory that the test may also use: what lies beside the root is outside of it. */
export async function temporaryTarget(
  t: TestContext,
  options: Partial<TargetTreeOptions> & { readonly path?: string } = {},
): Promise<TemporaryTarget> {
  const { path = join(temporaryDirectory(t), "root"), ...rest } = options;
  mkdirSync(path, { recursive: true });
  const tree = await openTargetTree(path, { deletes: "mirror", threads: 2, ...rest });
  t.after(() => tree.close());
  return { path, tree };
}

export function bundleOf(...operations: readonly Operation[]): Uint8Array {
  return Buffer.concat(operations.map(packOperation));
}

export interface Described {
  readonly attributes?: Partial<WireAttributes>;
  readonly extended?: readonly ExtendedAttribute[];
}

function described(kind: FileKind, sizeBytes: number, given: Described) {
  return {
    attributes: {
      kind,
      sizeBytes,
      mode: kind === "directory" ? 0o755 : 0o644,
      userId: process.getuid!(),
      groupId: process.getgid!(),
      modifiedSeconds: 1_700_000_000,
      modifiedNanoseconds: 123_456_789,
      deviceNode: 0,
      ...given.attributes,
    },
    extended: packExtended(given.extended ?? []),
  };
}

export function fileOf(path: TreePath, content: string | Uint8Array, given: Described = {}) {
  const bytes = Buffer.from(content);
  const extents = bytes.length === 0 ? [] : [{ offset: 0, bytes }];
  return { op: "file", path, extents, ...described("file", bytes.length, given) } as const;
}

export function directoryOf(path: TreePath, given: Described = {}) {
  return { op: "makeDirectory", path, ...described("directory", 0, given) } as const;
}

export function linkOf(path: TreePath, target: string, given: Described = {}) {
  return { op: "symlink", path, target, ...described("symlink", target.length, given) } as const;
}

export function specialOf(path: TreePath, kind: FileKind, given: Described = {}) {
  return { op: "special", path, ...described(kind, 0, given) } as const;
}

/** `sizeBytes`: of the file that is to be there. */
export function attributesOf(path: TreePath, kind: FileKind, given: Described = {}, sizeBytes = 0) {
  return { op: "attributes", path, ...described(kind, sizeBytes, given) } as const;
}

export function removalOf(path: TreePath, how: "one" | "recursive" = "recursive") {
  return { op: "remove", path, recursive: how === "recursive" } as const;
}
