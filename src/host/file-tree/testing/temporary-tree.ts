/** Trees for tests: a directory of the real file system, opened as a source, and what works on names of any bytes. */
import assert from "node:assert/strict";
import { constants } from "node:fs";
import type { TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import type { SourceTree, TreePath } from "../../../ports/mod.ts";
import { temporaryDirectory } from "../../testing/temporary-directory.ts";
import { errnoName } from "../errno-names.ts";
import { openSourceTree, type SourceTreeOptions } from "../source-tree.ts";
import { AT_FDCWD, OPEN_DIRECTORY, treeCalls } from "../tree-calls.ts";
import type { SwappingStart } from "./swapping-thread.ts";

export interface TemporaryTree {
  readonly path: string;
  readonly fd: number;
  readonly tree: SourceTree;
}

export async function temporaryTree(t: TestContext, options: SourceTreeOptions = {}): Promise<TemporaryTree> {
  const path = temporaryDirectory(t);
  const fd = treeCalls.openat(AT_FDCWD, path, OPEN_DIRECTORY);
  const tree = await openSourceTree(path, options);
  t.after(async () => {
    await tree.close();
    treeCalls.close(fd);
  });
  return { path, fd, tree };
}

/** The result of a call that must not fail. */
export function done(result: number): number {
  assert.ok(result >= 0, errnoName(result));
  return result;
}

export function putFile(directory: number, path: TreePath, content: Uint8Array | string = ""): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
  const file = done(treeCalls.openBeneath(directory, path, flags, 0o644));
  done(treeCalls.write(file, Buffer.from(content)));
  treeCalls.close(file);
}

/** Makes a chain of directories, name in name; the path of the last. */
export function putDirectories(directory: number, names: readonly string[]): TreePath {
  let parent = directory;
  for (const name of names) {
    done(treeCalls.mkdirat(parent, name, 0o755));
    const next = done(treeCalls.openat(parent, name, OPEN_DIRECTORY));
    if (parent !== directory) treeCalls.close(parent);
    parent = next;
  }
  if (parent !== directory) treeCalls.close(parent);
  return names.join("/");
}

/** Does something again and again on a thread of its own for as long as `call` takes. */
export async function whileAgain(
  start: Omit<SwappingStart, "stop">,
  call: () => Promise<void>,
): Promise<void> {
  const stopped = new Int32Array(new SharedArrayBuffer(4));
  const workerData: SwappingStart = { ...start, stop: stopped.buffer };
  const worker = new Worker(new URL("./swapping-thread.ts", import.meta.url), { workerData });
  const ended = new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
  await Promise.race([ended, new Promise((resolve) => worker.once("message", resolve))]);
  try {
    await call();
  } finally {
    Atomics.store(stopped, 0, 1);
    await ended;
  }
}
