/**
 * The admin key's file: made at the first start, then only read.
 * Always holds: a key made here has 256 random bits and is readable by its owner alone.
 * Errors: DATA_DIRECTORY when it cannot be made or read, INVALID_CONFIG when what stands there is no key.
 */
import { stat } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";
import type { Random } from "../ports/mod.ts";
import { errnoName } from "./disk-error.ts";
import { replaceSmallFile } from "./replaced-file.ts";
import { readSmallFile } from "./small-file.ts";

const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;
const OTHERS = 0o077;
const KEY = /^[\x21-\x7e]{16,256}$/;

export interface AdminKey {
  readonly key: string;
  /** Others than the owner may read the file. */
  readonly isExposed: boolean;
}

export async function openAdminKey(path: string, random: Random): Promise<AdminKey> {
  try {
    const key = (await readSmallFile(path)).trim();
    if (!KEY.test(key))
      throw new RopewalkError(
        "INVALID_CONFIG",
        `${path} holds no admin key (16 to 256 printable characters); delete it and a new one is made.`,
      );
    const { mode } = await stat(path);
    return { key, isExposed: (mode & OTHERS) !== 0 };
  } catch (cause) {
    if (cause instanceof RopewalkError) throw cause;
    if (errnoName(cause) !== "ENOENT") throw unusable(path, "read", cause);
  }
  const key = Buffer.from(random.bytes(KEY_BYTES)).toString("base64url");
  try {
    await replaceSmallFile(path, `${key}\n`, { mode: OWNER_ONLY });
  } catch (cause) {
    throw unusable(path, "made", cause);
  }
  return { key, isExposed: false };
}

function unusable(path: string, verb: string, cause: unknown): RopewalkError {
  const reason = cause instanceof RopewalkError ? cause.message : errnoName(cause);
  return new RopewalkError("DATA_DIRECTORY", `The admin key ${path} cannot be ${verb}: ${reason}.`, {
    cause,
  });
}
