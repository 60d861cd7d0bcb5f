/** Names in directories that are passed over: Ropewalk's own, and those of excluded paths. */
import type { TreePath } from "../../ports/mod.ts";
import { OWN_PREFIX } from "../../wire/filesync/mod.ts";
import type { PassingOver } from "./directory-entries.ts";

export class PassedNames implements PassingOver {
  readonly #patterns: readonly RegExp[];
  /** What is before the names of the directory under way. */
  #prefix = "";
  /** Own names in it. */
  own: string[] = [];

  /** `patterns`: sources of regular expressions over a whole path. */
  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((pattern) => new RegExp(pattern));
  }

  /** Names of this directory come next. */
  in(path: TreePath): void {
    this.#prefix = path === "" ? "" : `${path}/`;
    this.own = [];
  }

  get isDottedOnly(): boolean {
    return this.#patterns.length === 0;
  }

  isPassedOver(name: string): boolean {
    if (name.startsWith(OWN_PREFIX)) {
      this.own.push(name);
      return true;
    }
    if (this.#patterns.length === 0) return false;
    const path = this.#prefix + name;
    return this.#patterns.some((pattern) => pattern.test(path));
  }
}
