/**
 * The target's tree as one connection uses it, with its work told to the rules that the target can see.
 * Always holds: it changes nothing of what is done.
 */
import type { ApplyResult, TargetFile, TargetTree, TreePath } from "../../src/ports/mod.ts";
import { readBundle, readOperation } from "../../src/wire/filesync/mod.ts";
import type { SeenConnection, WireRules } from "./wire-rules.ts";

export interface Observation {
  readonly connection: SeenConnection;
  readonly rules: WireRules;
}

export class ObservedTargetTree implements TargetTree {
  readonly #tree: TargetTree;
  readonly #observation: Observation;

  constructor(tree: TargetTree, observation: Observation) {
    this.#tree = tree;
    this.#observation = observation;
  }

  root = () => this.#tree.root();
  scan: TargetTree["scan"] = (request) => this.#tree.scan(request);
  stat: TargetTree["stat"] = (paths) => this.#tree.stat(paths);
  hashes: TargetTree["hashes"] = (path, request) => this.#tree.hashes(path, request);
  sync = () => this.#tree.sync();
  freeBytes = () => this.#tree.freeBytes();
  close = () => this.#tree.close();

  async apply(bundle: Uint8Array): Promise<ApplyResult> {
    const { connection, rules } = this.#observation;
    const operations = readBundle(bundle).map((operation) => ({
      op: operation.op,
      path: operation.op === "rename" ? operation.to : operation.path,
    }));
    rules.began(connection);
    for (const { op, path } of operations) rules.makes(connection, op, path);
    try {
      return await this.#tree.apply(bundle);
    } finally {
      for (const { op, path } of operations) rules.made(connection, op, path);
      rules.ended(connection);
    }
  }

  /** A file that is put back stays open and is not worked on. */
  async begin(path: TreePath): Promise<TargetFile> {
    const { connection, rules } = this.#observation;
    const file = await this.#working(() => this.#tree.begin(path));
    return {
      write: (offset, bytes) => this.#working(() => file.write(offset, bytes)),
      keep: (offset, length) => this.#working(() => file.keep(offset, length)),
      commit: (packed) =>
        this.#working(async () => {
          const { path } = readOperation(packed) as { path: TreePath };
          rules.makes(connection, "file", path);
          try {
            return await file.commit(packed);
          } finally {
            rules.made(connection, "file", path);
          }
        }),
      abort: () => file.abort(),
    };
  }

  async #working<T>(work: () => Promise<T>): Promise<T> {
    const { connection, rules } = this.#observation;
    rules.began(connection);
    try {
      return await work();
    } finally {
      rules.ended(connection);
    }
  }
}
