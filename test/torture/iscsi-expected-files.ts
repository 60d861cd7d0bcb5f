// What must be in the folder after a crash, kept from what the writer said: of each file the version that was durable,
// or the one that was on its way.
// Always holds: a version is a number that is used once; its content follows from it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { patternBytes } from "../support/copy-session.ts";

export const FILES = 48;
const FILE_BYTES_MAX = 256 * 1024;

export interface FileEvent {
  readonly kind: "begun" | "durable";
  readonly name: string;
  /** null: the file is removed. */
  readonly version: number | null;
}

/** The content of a version, of a length that looks random. */
export function versionBytes(version: number): Buffer {
  return patternBytes((Math.imul(version, 0x9e3779b1) >>> 0) % FILE_BYTES_MAX, version);
}

export class ExpectedFiles {
  readonly #durable = new Map<string, number | null>();
  readonly #begun = new Map<string, number | null>();
  #versionMax = 0;
  /** Changes that were said to be durable. */
  changes = 0;

  get nextVersion(): number {
    return this.#versionMax + 1;
  }

  /** A line of the writer's. */
  heard(line: string): void {
    const { kind, name, version } = JSON.parse(line) as FileEvent;
    this.#versionMax = Math.max(this.#versionMax, version ?? 0);
    if (kind === "begun") this.#begun.set(name, version);
    else {
      this.#begun.delete(name);
      this.#durable.set(name, version);
      this.changes++;
    }
  }

  /** Compares with the folder; what is there is what is expected from then on. */
  settle(folder: string): string[] {
    const problems: string[] = [];
    for (const name of new Set([...this.#durable.keys(), ...this.#begun.keys()])) {
      const durable = this.#durable.get(name) ?? null;
      const possible = this.#begun.has(name) ? [this.#begun.get(name)!, durable] : [durable];
      const bytes = contentOf(join(folder, name));
      const found = possible.find((version) => isVersion(bytes, version));
      if (found === undefined) {
        const what = bytes === undefined ? "is not there" : `has ${bytes.length} bytes of something else`;
        problems.push(`${name} ${what}; expected version ${possible.join(" or ")}`);
      } else this.#durable.set(name, found);
    }
    this.#begun.clear();
    return problems;
  }
}

function contentOf(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}

function isVersion(bytes: Buffer | undefined, version: number | null): boolean {
  if (version === null || bytes === undefined) return version === null && bytes === undefined;
  return bytes.equals(versionBytes(version));
}
