/**
 * The daemon's data directory: what stands in it, and the pool's place in it.
 *
 *     pool/           the pool
 *     pool.new/       a pool that is being made; a rest of a start that was interrupted
 *     admin.key       token.key            endpoints.json       nbd.sock
 *     reservations/   persistent reservations and SANITIZE that is not complete, by the volume's UUID
 *     stacks/         descriptions of the volumes that are stacks, by name
 *     filesync/       synchronizations of directory trees with their keys, and their journals, by name
 *     filesync-targets/   roots that other daemons' synchronizations write to, with their keys, by name
 *     checksums/      of token writes, kept of files and exports between two openings (docs/formats/kept-checksums.md)
 *
 * Always holds: looking changes nothing; a pool appears under its name only when it was made whole; what a
 * failed start made is removed again. Errors: DATA_DIRECTORY.
 */
import { constants } from "node:fs";
import { access, mkdir, readdir, rename, rm, rmdir, stat, statfs, unlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { RopewalkError } from "../base/errors.ts";
import type { Disk } from "../ports/mod.ts";
import { syncDirectoryAt } from "./data-directory.ts";
import { openDirectoryDisk } from "./directory-disk.ts";
import { errnoName } from "./disk-error.ts";
import type { HostPageThreads } from "./page-threads/page-threads.ts";
import { replaceSmallFile } from "./replaced-file.ts";
import { TextFolder } from "./text-folder.ts";

const POOL = "pool";
const NEW_POOL = "pool.new";
const ADMIN_KEY = "admin.key";
const TOKEN_KEY = "token.key";
const RESERVATIONS = "reservations";
const STACKS = "stacks";
const CHECKSUMS = "checksums";
const FILESYNCS = "filesync";
const FILESYNC_TARGETS = "filesync-targets";
const ENDPOINTS = "endpoints.json";
const NBD_SOCKET = "nbd.sock";
/** Also what file systems put into their top folders. */
const OWN_NAMES = [
  POOL,
  NEW_POOL,
  ADMIN_KEY,
  TOKEN_KEY,
  RESERVATIONS,
  STACKS,
  CHECKSUMS,
  FILESYNCS,
  FILESYNC_TARGETS,
  ENDPOINTS,
  NBD_SOCKET,
  "lost+found",
];
/** sun_path of a Unix socket's address, less its end mark (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const DIRECTORY_MODE = 0o700;
const ENDPOINTS_MODE = 0o644;

export interface Endpoints {
  readonly pid: number;
  readonly nbd: readonly string[];
  readonly iscsi: readonly string[];
  readonly http: readonly string[];
  readonly peer: readonly string[];
  /** Of the HTTP API, with its scheme. */
  readonly url: string;
}

export class DaemonDirectory {
  readonly path: string;
  readonly adminKeyFile: string;
  readonly tokenKeyFile: string;
  readonly reservations: TextFolder;
  readonly stacks: TextFolder;
  readonly filesyncs: TextFolder;
  readonly filesyncTargets: TextFolder;
  readonly nbdSocket: string;
  readonly hasPool: boolean;
  readonly #wasAbsent: boolean;
  readonly #pageThreads: HostPageThreads | undefined;

  private constructor(options: {
    path: string;
    hasPool: boolean;
    wasAbsent: boolean;
    pageThreads: HostPageThreads | undefined;
  }) {
    this.#pageThreads = options.pageThreads;
    this.path = options.path;
    this.hasPool = options.hasPool;
    this.#wasAbsent = options.wasAbsent;
    this.adminKeyFile = join(options.path, ADMIN_KEY);
    this.tokenKeyFile = join(options.path, TOKEN_KEY);
    this.reservations = new TextFolder(join(options.path, RESERVATIONS));
    this.stacks = new TextFolder(join(options.path, STACKS));
    this.filesyncs = new TextFolder(join(options.path, FILESYNCS));
    this.filesyncTargets = new TextFolder(join(options.path, FILESYNC_TARGETS));
    this.nbdSocket = socketPath(join(options.path, NBD_SOCKET));
  }

  /** Looks at the directory; makes nothing. DATA_DIRECTORY when it cannot be used. */
  static async look(
    given: string,
    { pageThreads }: { pageThreads?: HostPageThreads | undefined } = {},
  ): Promise<DaemonDirectory> {
    const path = resolve(given);
    socketPath(join(path, NBD_SOCKET));
    let names: string[];
    try {
      if (!(await stat(path)).isDirectory()) throw unusable(path, "is not a directory; name another one");
      names = await readdir(path);
      await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (cause) {
      if (cause instanceof RopewalkError) throw cause;
      if (errnoName(cause) !== "ENOENT") throw refused(path, cause);
      await checkParent(path);
      return new DaemonDirectory({ path, hasPool: false, wasAbsent: true, pageThreads });
    }
    const hasPool = names.includes(POOL);
    const foreign = names.find((name) => !isOwn(name));
    if (!hasPool && foreign !== undefined)
      throw unusable(
        path,
        `holds no pool but other things, such as ${JSON.stringify(foreign)}; name an empty one`,
      );
    return new DaemonDirectory({ path, hasPool, wasAbsent: false, pageThreads });
  }

  /** Bytes that an ordinary user may still use of the disk that the directory is on, or would be on. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#wasAbsent ? await existingParent(this.path) : this.path);
    return bavail * bsize;
  }

  /** The disk of the pool that is there. */
  openPool(): Promise<Disk> {
    return openDirectoryDisk(join(this.path, POOL), { pageThreads: this.#pageThreads });
  }

  /** The disk of the kept checksums; the directory is made when absent. */
  openChecksums(): Promise<Disk> {
    return openDirectoryDisk(join(this.path, CHECKSUMS));
  }

  /** What a synchronization has noted and not yet sent. */
  journalFile(name: string): string {
    return join(this.path, FILESYNCS, `${name}.journal`);
  }

  /** Makes a pool with `format`, which may fail; then nothing of it stays. */
  async makePool(format: (disk: Disk) => Promise<void>): Promise<Disk> {
    const making = join(this.path, NEW_POOL);
    if (this.#wasAbsent) await makeDirectories(this.path);
    try {
      await rm(making, { recursive: true, force: true });
      await format(await openDirectoryDisk(making));
      await rename(making, join(this.path, POOL));
      await syncDirectoryAt(this.path);
    } catch (error) {
      await rm(making, { recursive: true, force: true }).catch(() => {});
      // Fails when something else came into it meanwhile, which then stays.
      if (this.#wasAbsent) await rmdir(this.path).catch(() => {});
      throw error;
    }
    return this.openPool();
  }

  /** Says where the daemon listens. */
  writeEndpoints(endpoints: Endpoints): Promise<void> {
    const text = `${JSON.stringify(endpoints, null, 2)}\n`;
    return replaceSmallFile(join(this.path, ENDPOINTS), text, { mode: ENDPOINTS_MODE });
  }

  /** At a clean stop: nobody listens here any more. */
  async removeEndpoints(): Promise<void> {
    for (const file of [join(this.path, ENDPOINTS), this.nbdSocket]) await unlink(file).catch(() => {});
  }
}

/** The shorter of the two ways to write it that a socket's address can hold. DATA_DIRECTORY */
function socketPath(path: string): string {
  const fits = [path, relative(process.cwd(), path)].find(
    (way) => Buffer.byteLength(way) <= SOCKET_PATH_BYTES_MAX,
  );
  if (fits !== undefined) return fits;
  throw unusable(dirname(path), `has too long a path: ${NBD_SOCKET} in it would exceed 107 bytes`);
}

/**
 * Makes the directory and those above it that are missing, durably. One by one, because Node's recursive mkdir
 * never returns where a file system makes no directories at all, such as /proc.
 */
async function makeDirectories(path: string): Promise<void> {
  const missing: string[] = [];
  for (const top = await existingParent(path); path !== top; path = dirname(path)) missing.unshift(path);
  for (const directory of missing) {
    try {
      await mkdir(directory, { mode: DIRECTORY_MODE });
    } catch (cause) {
      if (errnoName(cause) !== "EEXIST")
        throw unusable(directory, `cannot be made (${errnoName(cause)}); name another one`, cause);
    }
    await syncDirectoryAt(dirname(directory));
  }
}

/** Also of files that were being replaced when a process died. */
function isOwn(name: string): boolean {
  return OWN_NAMES.some((own) => name === own || name.startsWith(`${own}.`));
}

/** Whether the directory could be made. */
async function checkParent(path: string): Promise<void> {
  const parent = await existingParent(path);
  try {
    await access(parent, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unusable(path, `cannot be made: ${parent} is not writable (${errnoName(cause)})`, cause);
  }
}

async function existingParent(path: string): Promise<string> {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    try {
      if ((await stat(parent)).isDirectory()) return parent;
    } catch (cause) {
      if (errnoName(cause) === "ENOENT" && parent !== dirname(parent)) continue;
      throw refused(path, cause);
    }
    throw unusable(path, `cannot be made: ${parent} is not a directory`);
  }
}

function refused(path: string, cause: unknown): RopewalkError {
  const reasons: Record<string, string> = {
    EACCES: "is not readable and writable for this user; change that or name another one",
    EROFS: "is on a read-only file system; mount it read-write or name another one",
    ENOTDIR: "is not a directory; name another one",
  };
  const name = errnoName(cause);
  return unusable(path, reasons[name] ?? `cannot be used (${name}); name another one`, cause);
}

function unusable(path: string, reason: string, cause?: unknown): RopewalkError {
  return new RopewalkError("DATA_DIRECTORY", `The data directory ${path} ${reason}.`, { cause });
}
