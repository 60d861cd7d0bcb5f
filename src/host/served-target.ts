/**
 * A directory of this machine as a target that is this process's alone while it is open, and may be for long.
 *
 * Always holds: the directory is locked (flock) before anything in it is touched, so no temporaries of another process
 * are taken for remains; who opens it again waits until the closing before has ended. Its trash is looked through every
 * day. Errors: TARGET_IN_USE when another process has it, and those of `openTargetTree`.
 */
import { type FileHandle, open } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";
import type { HashRequest, ScanRequest, TargetTree, TreePath } from "../ports/mod.ts";
import type { DeletesPolicy } from "../wire/filesync/mod.ts";
import { hostClock } from "./clock.ts";
import { diskError, errnoName } from "./disk-error.ts";
import { type HostTargetTree, openTargetTree } from "./file-tree/target-tree.ts";
import { linuxCalls } from "./linux-calls.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Closings under way, by path. */
const closings = new Map<string, Promise<void>>();

export interface ServedTarget {
  readonly tree: TargetTree;
  readonly abilities: HostTargetTree["abilities"];
}

/** `path`: without symbolic links. */
export async function openServedTarget(
  path: string,
  { deletes }: { readonly deletes: DeletesPolicy },
): Promise<ServedTarget> {
  let lock: FileHandle | undefined;
  while (lock === undefined) {
    await closings.get(path);
    lock = await lockDirectory(path);
  }
  try {
    const tree = await openTargetTree(path, { deletes });
    return { tree: new LockedTargetTree({ path, tree, lock }), abilities: tree.abilities };
  } catch (error) {
    await lock.close();
    throw error;
  }
}

/** Undefined: a closing has begun meanwhile, to be waited for. */
async function lockDirectory(path: string): Promise<FileHandle | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    const codes = { ENOENT: "NOT_FOUND", ENOTDIR: "NOT_FOUND", EACCES: "PERMISSION_DENIED" } as const;
    throw diskError({ call: "open", path, cause, codes });
  }
  const cause = linuxCalls.lockExclusive(handle.fd);
  if (cause === 0) return handle;
  // As it is now: the closing may have ended when the handle is closed.
  const isClosing = closings.has(path);
  await handle.close();
  if (errnoName(cause) !== "EAGAIN") throw diskError({ call: "flock", path, cause });
  if (isClosing || closings.has(path)) return undefined;
  throw new RopewalkError(
    "TARGET_IN_USE",
    `Another process writes to ${path}; stop its synchronization, or choose another directory.`,
  );
}

class LockedTargetTree implements TargetTree {
  readonly #path: string;
  readonly #tree: HostTargetTree;
  readonly #lock: FileHandle;
  #closing: Promise<void> | undefined;

  constructor({ path, tree, lock }: { path: string; tree: HostTargetTree; lock: FileHandle }) {
    this.#path = path;
    this.#tree = tree;
    this.#lock = lock;
    this.#expireLater();
  }

  root() {
    return this.#tree.root();
  }

  apply(bundle: Uint8Array) {
    return this.#tree.apply(bundle);
  }

  scan(request: ScanRequest) {
    return this.#tree.scan(request);
  }

  stat(paths: readonly TreePath[]) {
    return this.#tree.stat(paths);
  }

  begin(path: TreePath) {
    return this.#tree.begin(path);
  }

  hashes(path: TreePath, request: HashRequest) {
    return this.#tree.hashes(path, request);
  }

  sync() {
    return this.#tree.sync();
  }

  freeBytes() {
    return this.#tree.freeBytes();
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNoted();
    return this.#closing;
  }

  #closeNoted(): Promise<void> {
    const closing = this.#close();
    // Who waits for it only wants it over.
    const over = closing.catch(() => undefined).then(() => void closings.delete(this.#path));
    closings.set(this.#path, over);
    return closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#tree.close();
    } finally {
      await this.#lock.close();
    }
  }

  #expireLater(): void {
    hostClock.after(DAY_MS, () => {
      if (this.#closing !== undefined) return;
      void this.#tree.expireTrash().catch(() => undefined);
      this.#expireLater();
    });
  }
}
