/**
 * A large file on its way to its name.
 *
 * Always holds: its descriptors are closed once, after the last call that uses them; without a commit that placed it the
 * temporary is removed. Content goes from the caller's memory to the kernel by Node's own threads, uncopied.
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
    });
  }

  keep(offset: number, length: number): Promise<void> {
    const { fd, old } = this.#file;
    return this.#whileOpen(() => this.#options.threads.run("keep", { fd, old, offset, length }));
  }

  /** After all writes that were begun. Whatever comes of it, the file is closed then. */
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
      await this.abort();
    }
  }

  abort(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
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
