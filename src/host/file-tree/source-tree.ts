/**
 * A directory tree of this machine as a source of file replication.
 *
 * Always holds: what may block is done by tree threads, on the directory that was opened with the tree: where its file
 * system was unmounted, or another directory stands in its place, calls fail (NOT_FOUND) and nothing looks deleted.
 * Between calls nothing but open files keeps its file system busy.
 */
import { realpath } from "node:fs/promises";
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type {
  FileAttributes,
  PackRequest,
  PackResult,
  RootAttributes,
  ScanRequest,
  ScanResult,
  SourceFile,
  SourceTree,
  TreeEvent,
  TreePath,
  TreeWatch,
  WalkRequest,
  WalkResult,
} from "../../ports/mod.ts";
import { diskError } from "../disk-error.ts";
import { InotifyWatch } from "./inotify-watch.ts";
import { knownDirectoriesMemory } from "./known-directories.ts";
import type { RootReference } from "./opened-root.ts";
import { packResultOf } from "./pack-paths.ts";
import { scanParts, statParts, walkParts } from "./path-parts.ts";
import { OpenedSourceFile } from "./source-file.ts";
import type { SourceJobs } from "./source-thread.ts";
import { scanThreadsOf, TreeThreads } from "./tree-threads.ts";

const SCRIPT = new URL("./source-thread.ts", import.meta.url);
const WATCH_GROUPS = 8;

export interface SourceTreeOptions {
  /** 1 to 64; default: as many as processors, at most 4. */
  readonly threads?: number;
  /** Inotify instances, 1 to 64; default 8. */
  readonly watchGroups?: number;
}

/** The path without symbolic links, one character for each byte. NOT_FOUND, PERMISSION_DENIED, IO_ERROR */
export async function realTreePath(path: string): Promise<string> {
  try {
    return (await realpath(path, "buffer")).toString("latin1");
  } catch (cause) {
    const codes = {
      ENOENT: "NOT_FOUND",
      ENOTDIR: "NOT_FOUND",
      EACCES: "PERMISSION_DENIED",
      ELOOP: "INVALID_ARGUMENT",
    } as const;
    throw diskError({ call: "realpath", path, cause, codes });
  }
}

class HostSourceTree implements SourceTree {
  readonly #path: string;
  readonly #threads: TreeThreads<SourceJobs>;
  /** A comparison asks for much at once: nothing else waits behind it. */
  readonly #scanThreads: TreeThreads<SourceJobs>;
  readonly #root: RootReference;
  readonly #groups: number;
  readonly #known = knownDirectoriesMemory();
  readonly #files = new Set<OpenedSourceFile>();
  #watch: InotifyWatch | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: {
    path: string;
    root: RootReference;
    threads: TreeThreads<SourceJobs>;
    groups: number;
  }) {
    this.#path = options.path;
    this.#root = options.root;
    this.#threads = options.threads;
    this.#scanThreads = new TreeThreads({ script: SCRIPT, count: scanThreadsOf(options.threads.count) });
    this.#groups = options.groups;
  }

  async root(): Promise<RootAttributes> {
    return this.#threads.run("root", await realTreePath(this.#path));
  }

  async watch(listener: (events: readonly TreeEvent[]) => void): Promise<TreeWatch> {
    assert(this.#watch === undefined, "a tree is watched once");
    this.#watch = new InotifyWatch({ groups: this.#groups, listener });
    await this.#watch.ready;
    return this.#watch;
  }

  async walk({ paths, excludes }: WalkRequest): Promise<WalkResult> {
    const [watch, threads] = [this.#watch, this.#scanThreads];
    assert(watch !== undefined, "watches need a listener first");
    const job = { root: this.#root, patterns: excludes.patterns, groups: watch.groups };
    return watch.whileOpen(() =>
      walkParts(paths, threads.count, (part) => threads.run("walk", { ...job, paths: part })),
    );
  }

  async scan({ paths, withListings, withExtended = true, excludes }: ScanRequest): Promise<ScanResult> {
    const threads = this.#scanThreads;
    const { patterns } = excludes;
    const job = { root: this.#root, withListings, withExtended, patterns, known: this.#known };
    return scanParts(paths, threads.count, (part) => threads.run("scan", { ...job, paths: part }));
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    const threads = this.#threads;
    return statParts(paths, threads.count, (part) => threads.run("stat", { root: this.#root, paths: part }));
  }

  async pack(request: PackRequest): Promise<PackResult> {
    const columns = await this.#threads.run("pack", { ...request, root: this.#root });
    return packResultOf(columns, request.paths);
  }

  async open(path: TreePath): Promise<SourceFile> {
    const opened = await this.#threads.run("open", { root: this.#root, path });
    const file: OpenedSourceFile = new OpenedSourceFile(opened, {
      threads: this.#threads,
      closed: () => this.#files.delete(file),
    });
    this.#files.add(file);
    if (this.#closing === undefined) return file;
    await file.close();
    throw new RopewalkError("SHUTTING_DOWN", "The directory tree is closing.");
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#files].map((file) => file.close()));
    await Promise.all([this.#threads.close(), this.#scanThreads.close()]);
    // After the threads: a scan under way adds to its descriptors.
    await this.#watch?.close();
  }
}

/**
 * Opens the directory at `root` (symbolic links on the way to it are followed, once). NOT_FOUND, INVALID_ARGUMENT (no
 * directory), PERMISSION_DENIED, IO_ERROR.
 */
export async function openSourceTree(root: string, options: SourceTreeOptions = {}): Promise<SourceTree> {
  const path = await realTreePath(root);
  const threads = new TreeThreads<SourceJobs>({
    script: SCRIPT,
    count: options.threads,
  });
  try {
    const { device, inode } = await threads.run("root", path);
    return new HostSourceTree({
      path: root,
      root: { path, device, inode },
      threads,
      groups: options.watchGroups ?? WATCH_GROUPS,
    });
  } catch (error) {
    await threads.close();
    throw error;
  }
}
