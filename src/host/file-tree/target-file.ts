/**
 * A large file on its way to its name.
 *
 * Always holds: its descriptors are closed once, after the last call that uses them; without a commit that placed it the
 * temporary is removed. Content goes from the caller's memory to the kernel by Node's own threads, uncopied. The disk
 * writes while the rest comes, so that the commit waits for little.
 */
import { write } from "node:fs";
import { promisify } from "node:util";
import { RopewalkError } from "../../base/errors.ts";
import type { FileFailure, TargetFile, TreePath } from "../../ports/file-tree.ts";
import { diskError } from "../disk-error.ts";
import type { CommittedFile, LargeFile } from "./large-file-jobs.ts";
import type { LostKind, TargetReference } from "./target-job.ts";
import type { TargetJobs } from "./target-thread.ts";
import type { TreeThreads } from "./tree-threads.ts";

const writeFrom = promisify(write);
/** So much is handed to the disk at a time. */
const WRITEBACK_BYTES = 16 * 2 ** 20;

export interface TargetFileOptions {
  readonly threads: TreeThreads<TargetJobs>;
  readonly target: TargetReference;
  readonly path: TreePath;
  readonly nowMs: () => number;
  /** What of `lost` the tree has not told yet. */
  readonly news: (lost: readonly LostKind[]) => readonly LostKind[];
  readonly closed: () => void;
}

export class OpenedTargetFile implements TargetFile {
  readonly #file: LargeFile;
  readonly #options: TargetFileOptions;
  readonly #underWay = new Set<Promise<unknown>>();
  #ending: Promise<void> | undefined;
  #isPlaced = false;
  #unwrittenBytes = 0;
  #isWritingBack = false;

  constructor(file: LargeFile, options: TargetFileOptions) {
    this.#file = file;
    this.#options = options;
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#whileOpen(async () => {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await writeFrom(
          this.#file.fd,
          bytes,
          at,
          bytes.length - at,
          offset + at,
        ).catch((cause) => {
          throw diskError({
            call: "write",
            path: Buffer.from(this.#options.path, "latin1").toString(),
            cause,
            codes: { ENOSPC: "NO_SPACE", EDQUOT: "NO_SPACE" },
          });
        });
        at += bytesWritten;
      }
      this.#came(bytes.length);
    });
  }

  keep(offset: number, length: number): Promise<void> {
    const { fd, old } = this.#file;
    return this.#whileOpen(async () => {
      await this.#options.threads.run("keep", { fd, old, offset, length });
      this.#came(length);
    });
  }

  /** After all writes that were begun. Whatever comes of it, nothing can be done with the file then. */
  async commit(packed: Uint8Array): Promise<FileFailure | undefined> {
    await Promise.allSettled(this.#underWay);
    const { threads, target, path, nowMs, news } = this.#options;
    try {
      const { failure, lost } = await this.#whileOpen(async (): Promise<CommittedFile> => {
        const job = { ...this.#file, target, path, packed: new Uint8Array(packed), nowMs: nowMs() };
        const committed = await threads.run("commit", job);
        // A name that was given keeps it, whatever of the attributes failed.
        this.#isPlaced = committed.isPlaced;
        return committed;
      });
      const fresh = news(lost)[0];
      if (failure !== undefined || fresh === undefined) return failure;
      return { path: fresh.path, errno: fresh.errno, doing: fresh.doing };
    } finally {
      const ended = this.abort();
      // To free what was replaced takes the kernel long where that was large; nobody has to wait for it but `close`.
      if (this.#isPlaced) ended.catch(() => undefined);
      else await ended;
    }
  }

  abort(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  #came(bytes: number): void {
    this.#unwrittenBytes += bytes;
    const { threads, target } = this.#options;
    if (target.durability !== "batch" || this.#isWritingBack || this.#unwrittenBytes < WRITEBACK_BYTES)
      return;
    this.#unwrittenBytes = 0;
    this.#isWritingBack = true;
    const ended = () => {
      this.#isWritingBack = false;
    };
    this.#whileOpen(() => threads.run("writeback", this.#file.fd)).then(ended, ended);
  }

  async #end(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.#options.threads.run("end", { ...this.#file, isPlaced: this.#isPlaced });
    this.#options.closed();
  }

  async #whileOpen<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#ending !== undefined) throw new RopewalkError("SHUTTING_DOWN", "The file is closed.");
    const ended = call();
    this.#underWay.add(ended);
    try {
      return await ended;
    } finally {
      this.#underWay.delete(ended);
    }
  }
}
