/**
 * A folder of small texts that must survive a power cut: persistent reservations, descriptions of stacks.
 *
 * Always holds: a text is there wholly and durably, or as it was before; the folder appears with its first text.
 * Errors: DATA_DIRECTORY when the folder or a file cannot be read or written, TOO_LARGE.
 */
import { mkdir, readdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { assert } from "../base/assert.ts";
import { RopewalkError } from "../base/errors.ts";
import { syncDirectoryAt } from "./data-directory.ts";
import { errnoName } from "./disk-error.ts";
import { replaceSmallFile } from "./replaced-file.ts";
import { readSmallFile } from "./small-file.ts";

const EXTENSION = ".json";
const NAME = /^[a-z0-9][a-z0-9._-]{0,127}$/;
/** Files that were being replaced when a process died end differently. */
const FILE = /^([a-z0-9][a-z0-9._-]{0,127})\.json$/;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

export class TextFolder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Names of all texts, in order. */
  async list(): Promise<string[]> {
    try {
      const files = await readdir(this.#path);
      return files
        .map((file) => FILE.exec(file)?.[1])
        .filter((name) => name !== undefined)
        .sort();
    } catch (cause) {
      if (errnoName(cause) === "ENOENT") return [];
      throw unusable(this.#path, "listed", cause);
    }
  }

  /** Undefined when there is no such text. */
  async read(name: string): Promise<string | undefined> {
    const path = this.#pathOf(name);
    try {
      return await readSmallFile(path);
    } catch (cause) {
      if (cause instanceof RopewalkError) throw cause;
      if (errnoName(cause) === "ENOENT") return undefined;
      throw unusable(path, "read", cause);
    }
  }

  async write(name: string, text: string): Promise<void> {
    const path = this.#pathOf(name);
    try {
      if ((await mkdir(this.#path, { recursive: true, mode: FOLDER_MODE })) !== undefined)
        await syncDirectoryAt(dirname(this.#path));
      await replaceSmallFile(path, text, { mode: FILE_MODE });
    } catch (cause) {
      throw unusable(path, "written", cause);
    }
  }

  /** Does nothing when there is no such text. */
  async remove(name: string): Promise<void> {
    const path = this.#pathOf(name);
    try {
      await unlink(path);
      await syncDirectoryAt(this.#path);
    } catch (cause) {
      if (errnoName(cause) !== "ENOENT") throw unusable(path, "removed", cause);
    }
  }

  #pathOf(name: string): string {
    assert(NAME.test(name), `"${name}" can name a text`);
    return join(this.#path, `${name}${EXTENSION}`);
  }
}

function unusable(path: string, verb: string, cause: unknown): RopewalkError {
  const reason = cause instanceof RopewalkError ? cause.message : errnoName(cause);
  return new RopewalkError("DATA_DIRECTORY", `${path} cannot be ${verb}: ${reason}.`, { cause });
}
