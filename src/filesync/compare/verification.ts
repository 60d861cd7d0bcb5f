/**
 * Compares two trees wholly: names, attributes and, by hashes read on both sides, contents.
 *
 * Always holds: nothing is changed; memory is bounded, so of many differences the first are named and the others counted.
 * A file that changes meanwhile may be named although the change is on its way. Errors: those of the trees; CANCELLED.
 */
import type { FileAttributes, FileFailure, HashRequest, SourceTree, TreePath } from "../../ports/mod.ts";
import { isOfSource } from "../work/failure-kinds.ts";
import type { KeptComparison } from "./kept-attributes.ts";
import { TreeComparison, type TreeScan } from "./tree-comparison.ts";

const BLOCK_BYTES = 2 ** 20;
/** Hashed in one request. */
const WINDOW_BYTES = 64 * 2 ** 20;
const FILES_MAX = 16;
const NAMED_MAX = 1000;

export interface VerifiedDifference {
  readonly path: TreePath;
  readonly what: "missing" | "extra" | "attributes" | "content" | "unreadable";
}

export interface VerificationResult {
  readonly files: number;
  readonly bytes: number;
  readonly differences: number;
  readonly different: readonly VerifiedDifference[];
}

export interface VerificationParts {
  readonly source: SourceTree;
  readonly scanSource: TreeScan;
  readonly scanTarget: TreeScan;
  readonly hashesOfTarget: (path: TreePath, request: HashRequest) => Promise<Uint8Array>;
  readonly kept: KeptComparison;
  /** Extra files at the target are as they should be. */
  readonly keepsExtra: boolean;
  readonly failed: (failure: FileFailure) => void;
  readonly signal: AbortSignal;
}

export class Verification {
  readonly #parts: VerificationParts;
  readonly #different: VerifiedDifference[] = [];
  #differences = 0;
  #files = 0;
  #bytes = 0;

  constructor(parts: VerificationParts) {
    this.#parts = parts;
  }

  async run(): Promise<VerificationResult> {
    const { scanSource, scanTarget, kept, failed, signal, keepsExtra } = this.#parts;
    const comparison = new TreeComparison({
      source: scanSource,
      target: scanTarget,
      path: "",
      depth: "all",
      mode: "full",
      kept,
      failed: (failure) => {
        this.#found(failure.path, "unreadable");
        failed(failure);
      },
      signal,
    });
    for await (const differences of comparison.differences()) {
      const files: { path: TreePath; attributes: FileAttributes }[] = [];
      for (const difference of differences) {
        const { path } = difference;
        if (difference.kind === "extra" && !keepsExtra) this.#found(path, "extra");
        else if (difference.kind === "attributes") this.#found(path, "attributes");
        else if (difference.kind === "copy") {
          const { attributes, target } = difference;
          if (target === undefined) this.#found(path, "missing");
          else if (attributes.kind !== "file") this.#found(path, "attributes");
          else if (attributes.sizeBytes !== target.sizeBytes) this.#found(path, "content");
          else {
            if (!kept.isAlike(attributes, target)) this.#found(path, "attributes");
            files.push({ path, attributes });
          }
        }
      }
      const workers = Array.from({ length: Math.min(FILES_MAX, files.length) }, async () => {
        for (let file = files.shift(); file !== undefined; file = files.shift())
          await this.#compareContent(file.path, file.attributes);
      });
      const outcomes = await Promise.allSettled(workers);
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    }
    return {
      files: this.#files,
      bytes: this.#bytes,
      differences: this.#differences,
      different: this.#different,
    };
  }

  async #compareContent(path: TreePath, { sizeBytes, inode }: FileAttributes): Promise<void> {
    const { source, hashesOfTarget } = this.#parts;
    this.#files += 1;
    this.#bytes += sizeBytes;
    const seed = inode % 2 ** 32;
    try {
      const file = await source.open(path);
      try {
        for (let offset = 0; offset < sizeBytes; offset += WINDOW_BYTES) {
          const length = Math.min(WINDOW_BYTES, sizeBytes - offset);
          const request = { offset, length, blockBytes: BLOCK_BYTES, seed };
          const [one, other] = await Promise.all([file.hashes(request), hashesOfTarget(path, request)]);
          if (Buffer.compare(one, other) === 0) continue;
          this.#found(path, "content");
          return;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isOfSource(error)) throw error;
      this.#found(path, "unreadable");
    }
  }

  #found(path: TreePath, what: VerifiedDifference["what"]): void {
    this.#differences += 1;
    if (this.#different.length < NAMED_MAX) this.#different.push({ path, what });
  }
}
