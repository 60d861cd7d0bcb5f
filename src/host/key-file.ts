/**
 * A key's file: made at the first start, then only read.
 * Always holds: a key made here is readable by its owner alone.
 * Errors: DATA_DIRECTORY when it cannot be made or read, INVALID_CONFIG when what stands there is no key.
 */
import { stat } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";
import { errnoName } from "./disk-error.ts";
import { replaceSmallFile } from "./replaced-file.ts";
import { readSmallFile } from "./small-file.ts";

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

export interface KeyFile {
  readonly key: string;
  /** Others than the owner may read the file. */
  readonly isExposed: boolean;
}

export interface KeyKind {
  /** `admin key` */
  readonly name: string;
  readonly pattern: RegExp;
  /** The pattern in words. */
  readonly form: string;
  readonly make: () => string;
}

export async function openKeyFile(path: string, kind: KeyKind): Promise<KeyFile> {
  try {
    const key = (await readSmallFile(path)).trim();
    if (!kind.pattern.test(key))
      throw new RopewalkError(
        "INVALID_CONFIG",
        `${path} holds no ${kind.name} (${kind.form}); delete it and a new one is made.`,
      );
    const { mode } = await stat(path);
    return { key, isExposed: (mode & OTHERS) !== 0 };
  } catch (cause) {
    if (cause instanceof RopewalkError) throw cause;
    if (errnoName(cause) !== "ENOENT") throw unusable(kind, path, "read", cause);
  }
  const key = kind.make();
  try {
    await replaceSmallFile(path, `${key}\n`, { mode: OWNER_ONLY });
  } catch (cause) {
    throw unusable(kind, path, "made", cause);
  }
  return { key, isExposed: false };
}

function unusable({ name }: KeyKind, path: string, verb: string, cause: unknown): RopewalkError {
  const reason = cause instanceof RopewalkError ? cause.message : errnoName(cause);
  return new RopewalkError("DATA_DIRECTORY", `The ${name} ${path} cannot be ${verb}: ${reason}.`, { cause });
}
