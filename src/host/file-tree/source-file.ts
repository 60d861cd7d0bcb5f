/**
 * A large file of a source tree, open.
 *
 * Always holds: all calls are about the file that was opened, whatever happens to its name. Reads go to Node's own
 * threads, straight into the caller's memory; a hash of a long range goes to several tree threads. Closed once.
 */
import { close, read } from "node:fs";
import { promisify } from "node:util";
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, HashRequest, SourceFile } from "../../ports/mod.ts";
import { diskError } from "../disk-error.ts";
import { hashPieces, joinHashes } from "./hash-blocks.ts";
import type { OpenedFile } from "./open-file.ts";
import type { SourceJobs } from "./source-thread.ts";
import type { TreeThreads } from "./tree-threads.ts";

const HASH_PIECE_BYTES_MIN = 8 * 1024 * 1024;
const readInto = promisify(read);
const closeDescriptor = promisify(close);

export class OpenedSourceFile implements SourceFile {
  readonly #threads: TreeThreads<SourceJobs>;
  readonly #fd: number;
  readonly #closed: () => void;
  /** Calls under way keep the descriptor: its number could be another file's right after it was closed. */
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  readonly attributes: FileAttributes;
  readonly extended: Uint8Array;

  constructor(opened: OpenedFile, options: { threads: TreeThreads<SourceJobs>; closed: () => void }) {
    this.#threads = options.threads;
    this.#closed = options.closed;
    this.#fd = opened.fd;
    this.attributes = opened.attributes;
    this.extended = opened.extended;
  }

  read(offset: number, target: Uint8Array): Promise<number> {
    return this.#whileOpen(() => this.#read(offset, target));
  }

  hashes(request: HashRequest): Promise<Uint8Array> {
    return this.#whileOpen(async () => {
      const pieces = hashPieces(request, {
        threads: this.#threads.count,
        pieceBytesMin: HASH_PIECE_BYTES_MIN,
      });
      if (pieces.length === 0) return new Uint8Array(0);
      const jobs = pieces.map((piece) => this.#threads.run("hash", { ...piece, fd: this.#fd }));
      const parts = await Promise.allSettled(jobs);
      return joinHashes(
        parts.map((part) => {
          if (part.status === "rejected") throw part.reason;
          return part.value;
        }),
      );
    });
  }

  dataAt(offset: number): Promise<{ offset: number; end: number } | undefined> {
    return this.#whileOpen(() => this.#threads.run("data", { fd: this.#fd, offset }));
  }

  now(): Promise<FileAttributes> {
    return this.#whileOpen(() => this.#threads.run("now", this.#fd));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    // By a thread: the last descriptor of a removed file frees its blocks, which may take long.
    await closeDescriptor(this.#fd);
    this.#closed();
  }

  async #read(offset: number, target: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const left = target.length - filled;
      const { bytesRead } = await readInto(this.#fd, target, filled, left, offset + filled).catch((cause) => {
        throw diskError({ call: "read", path: "a file of the tree", cause });
      });
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  async #whileOpen<Result>(call: () => Promise<Result>): Promise<Result> {
    if (this.#closing !== undefined) throw new RopewalkError("SHUTTING_DOWN", "The file is closed.");
    const ended = call();
    this.#underWay.add(ended);
    try {
      return await ended;
    } finally {
      this.#underWay.delete(ended);
    }
  }
}
