/**
 * A directory tree of this machine as a target of file replication.
 *
 * Always holds: what may block is done by tree threads, on the directory that was opened with the tree: where another
 * stands in its place, calls fail (NOT_FOUND). Everything that was begun here has ended when `close` resolves, and
 * temporaries of files that were not committed are gone. What the file system cannot keep is told once for each kind.
 */
import { randomBytes } from "node:crypto";
import { RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  HashRequest,
  ScanRequest,
  ScanResult,
  TargetFile,
  TargetTree,
  TreePath,
} from "../../ports/file-tree.ts";
import type { DeletesPolicy, TargetAbilities } from "../../wire/filesync/mod.ts";
import { diskError } from "../disk-error.ts";
import type { AppliedBundle } from "./apply-bundle.ts";
import { bundleParts } from "./bundle-parts.ts";
import { GROUP_SYNC_BYTES } from "./group-sync.ts";
import { GroupedSyncs } from "./grouped-syncs.ts";
import { hashPieces, joinHashes } from "./hash-blocks.ts";
import { knownDirectoriesMemory } from "./known-directories.ts";
import { allEnded, scanParts, statParts } from "./path-parts.ts";
import { realTreePath } from "./source-tree.ts";
import type { StagedPart } from "./stage-bundle.ts";
import { OpenedTargetFile } from "./target-file.ts";
import type { Durability, LostKind, TargetReference } from "./target-job.ts";
import type { TargetJobs } from "./target-thread.ts";
import { scanThreadsOf, TreeThreads } from "./tree-threads.ts";

const SCRIPT = new URL("./target-thread.ts", import.meta.url);
const HASH_PIECE_BYTES_MIN = 8 * 1024 * 1024;
const TRASH_SECONDS = 7 * 24 * 60 * 60;
const SESSION_BYTES = 6;

/** Sessions of this process: their temporaries are in use. Another process's are kept off by the root's lock. */
const liveSessions = new Set<string>();

export interface TargetTreeOptions {
  readonly deletes: DeletesPolicy;
  /** Default `batch`. */
  readonly durability?: Durability;
  /** How long the trash keeps what was moved there, in seconds; default 7 days. */
  readonly trashSeconds?: number;
  /** 1 to 64; default: as many as processors, at most 4. */
  readonly threads?: number;
}

export class HostTargetTree implements TargetTree {
  readonly #path: string;
  readonly #target: TargetReference;
  readonly #threads: TreeThreads<TargetJobs>;
  /** A comparison asks for much at once: nothing else waits behind it. */
  readonly #scanThreads: TreeThreads<TargetJobs>;
  readonly #trashMs: number;
  readonly #known = knownDirectoriesMemory();
  readonly #told = new Set<string>();
  /** Syncs wait for the disk: a thread of their own. */
  readonly #syncThreads: TreeThreads<TargetJobs>;
  readonly #syncs: GroupedSyncs;
  readonly #applying = new Set<Promise<ApplyResult>>();
  readonly #files = new Set<OpenedTargetFile>();
  #bundles = 0;
  #largeFiles = 0;
  #closing: Promise<void> | undefined;

  constructor(options: {
    readonly path: string;
    readonly target: TargetReference;
    readonly threads: TreeThreads<TargetJobs>;
    readonly trashMs: number;
  }) {
    this.#path = options.path;
    this.#target = options.target;
    this.#threads = options.threads;
    this.#trashMs = options.trashMs;
    this.#scanThreads = new TreeThreads({ script: SCRIPT, count: scanThreadsOf(options.threads.count) });
    this.#syncThreads = new TreeThreads({ script: SCRIPT, count: 1 });
    this.#syncs = new GroupedSyncs(() => this.#syncThreads.run("sync", this.#target));
  }

  /** As they were when the tree was opened. */
  get abilities(): TargetAbilities {
    return this.#target.abilities;
  }

  async root(): Promise<FileAttributes> {
    return this.#threads.run("root", await realTreePath(this.#path));
  }

  /** The bundle is copied; it may be used again at once. PROTOCOL_ERROR, NOT_FOUND, IO_ERROR */
  async apply(bundle: Uint8Array): Promise<ApplyResult> {
    const applying = this.#apply(bundle);
    this.#applying.add(applying);
    try {
      return await applying;
    } finally {
      this.#applying.delete(applying);
    }
  }

  async #apply(bundle: Uint8Array): Promise<ApplyResult> {
    const number = this.#bundles++;
    const staged = await this.#stage(bundle, number);
    const bytes = staged?.bytes ?? new Uint8Array(bundle);
    const job = { target: this.#target, bytes, bundle: number, nowMs: Date.now(), live: [...liveSessions] };
    const before = staged && { staged: staged.staged, synced: await this.#syncs.wait() };
    const applied = await this.#threads.run("apply", before === undefined ? job : { ...job, before }, [
      bytes.buffer,
    ]);
    return this.#resultOf(applied, staged?.lost ?? []);
  }

  /** Content of many files is staged before they get their names, so that one sync serves several bundles. */
  async #stage(bundle: Uint8Array, number: number): Promise<StagedPart | undefined> {
    const parts = this.#target.durability === "batch" ? bundleParts(bundle, this.#threads.count) : [];
    if (parts.length === 0) return undefined;
    const results = await this.#syncs.staging(() =>
      allEnded(
        parts.map((part) =>
          this.#threads.run("stage", { target: this.#target, bundle: number, ...part }, [part.bytes.buffer]),
        ),
      ),
    );
    const [first] = results;
    if (results.length === 1) return first;
    return {
      staged: joinHashes(results.map((result) => result.staged)),
      lost: results.flatMap((result) => result.lost),
      bytes: new Uint8Array(bundle),
    };
  }

  #resultOf(applied: AppliedBundle, lost: readonly LostKind[]): ApplyResult {
    const fresh = this.#news([...lost, ...applied.lost]);
    const failures = [
      ...applied.failures,
      ...fresh.map(({ operation, path, errno, doing }) => ({ operation, path, errno, doing })),
    ];
    return {
      done: applied.done,
      failures: failures.toSorted((one, other) => one.operation - other.operation),
    };
  }

  /** Those of a kind that was not told before. */
  #news(lost: readonly LostKind[]): LostKind[] {
    return lost.filter(({ kind }) => {
      if (this.#told.has(kind)) return false;
      this.#told.add(kind);
      return true;
    });
  }

  async scan(request: ScanRequest): Promise<ScanResult> {
    const job = {
      root: this.#target.root,
      withListings: request.withListings,
      withExtended: request.withExtended ?? true,
      patterns: request.excludes.patterns,
      known: this.#known,
      live: [...liveSessions],
    };
    const threads = this.#scanThreads;
    return scanParts(request.paths, threads.count, (paths) => threads.run("scan", { ...job, paths }));
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    const threads = this.#threads;
    return statParts(paths, threads.count, (part) =>
      threads.run("stat", { root: this.#target.root, paths: part }),
    );
  }

  /** NOT_FOUND, PERMISSION_DENIED, NO_SPACE, IO_ERROR */
  async begin(path: TreePath): Promise<TargetFile> {
    const target = this.#target;
    const opened = await this.#threads.run("begin", { target, path, number: this.#largeFiles++ });
    const file: OpenedTargetFile = new OpenedTargetFile(opened, {
      threads: this.#threads,
      target,
      path,
      nowMs: () => Date.now(),
      news: (lost) => this.#news(lost),
      closed: () => this.#files.delete(file),
    });
    this.#files.add(file);
    if (this.#closing === undefined) return file;
    await file.abort();
    throw new RopewalkError("SHUTTING_DOWN", "The directory tree is closing.");
  }

  async hashes(path: TreePath, request: HashRequest): Promise<Uint8Array> {
    const pieces = hashPieces(request, { threads: this.#threads.count, pieceBytesMin: HASH_PIECE_BYTES_MIN });
    const target = this.#target;
    const parts = await allEnded(
      pieces.map((piece) => this.#threads.run("hash", { target, path, request: piece })),
    );
    return parts.length === 0 ? new Uint8Array(0) : joinHashes(parts);
  }

  async sync(): Promise<void> {
    const result = await this.#threads.run("sync", this.#target);
    if (result < 0) throw diskError({ call: "syncfs", path: this.#path, cause: result });
  }

  async freeBytes(): Promise<number> {
    const result = await this.#threads.run("free", this.#target);
    if (result < 0) throw diskError({ call: "fstatfs", path: this.#path, cause: result });
    return result;
  }

  /** Removes what has been in the trash for longer than it is kept; how many times of removal. Called at open, then daily. */
  expireTrash(nowMs = Date.now()): Promise<number> {
    return this.#threads.run("expire", { root: this.#target.root, beforeMs: nowMs - this.#trashMs });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#files].map((file) => file.abort()));
    // A bundle whose content is staged gets its names.
    await Promise.allSettled(this.#applying);
    const all = [this.#threads, this.#scanThreads, this.#syncThreads];
    await Promise.all(all.map((threads) => threads.close()));
    liveSessions.delete(this.#target.session);
  }
}

/**
 * Opens the directory at `root` (symbolic links on the way to it are followed, once). NOT_FOUND, INVALID_ARGUMENT (no
 * directory), READ_ONLY, PERMISSION_DENIED, NO_SPACE, IO_ERROR.
 */
export async function openTargetTree(root: string, options: TargetTreeOptions): Promise<HostTargetTree> {
  const path = await realTreePath(root);
  const threads = new TreeThreads<TargetJobs>({
    script: SCRIPT,
    count: options.threads,
  });
  const session = randomBytes(SESSION_BYTES).toString("hex");
  liveSessions.add(session);
  try {
    const { attributes, abilities } = await threads.run("probe", { path, session });
    const { device, inode } = attributes;
    const tree = new HostTargetTree({
      path: root,
      target: {
        root: { path, device, inode },
        deletes: options.deletes,
        durability: options.durability ?? "batch",
        abilities,
        session,
        sync: new SharedArrayBuffer(GROUP_SYNC_BYTES),
      },
      threads,
      trashMs: (options.trashSeconds ?? TRASH_SECONDS) * 1000,
    });
    await tree.expireTrash();
    return tree;
  } catch (error) {
    liveSessions.delete(session);
    await threads.close();
    throw error;
  }
}
