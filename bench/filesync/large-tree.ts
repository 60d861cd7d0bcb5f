// The tree of very many files at the source, and the same at the target: made once for all groups that need it, and equal
// again when a group is done with it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../../test/support/run-program.ts";
import type { SuiteContext } from "../suite.ts";
import { filesyncSizes } from "./filesync-sizes.ts";
import type { TreePair } from "./live-changes.ts";
import { makeManyFiles } from "./many-files.ts";

const COPY_TIMEOUT_MS = 900_000;

export class LargeTree {
  readonly #context: SuiteContext;
  #pair: Promise<TreePair> | undefined;

  constructor(context: SuiteContext) {
    this.#context = context;
  }

  pair(): Promise<TreePair> {
    this.#pair ??= this.#make();
    return this.#pair;
  }

  async #make(): Promise<TreePair> {
    const { tree: files } = filesyncSizes(this.#context);
    const place = this.#context.folderFor("large-tree");
    const [source, target] = [join(place, "source"), join(place, "target")];
    await makeManyFiles(source, files);
    mkdirSync(target);
    await runProgram("cp", ["-a", `${source}/.`, target], { timeoutMs: COPY_TIMEOUT_MS });
    this.#context.say("  made the tree on both sides");
    return { source, target, files };
  }
}
