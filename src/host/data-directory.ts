/**
 * The directory that holds a pool: made when absent, and checked before anything in it is touched.
 *
 * Always holds: a directory made here is durable, with every parent made for it.
 * Errors: DATA_DIRECTORY when the directory cannot be used as it is.
 */
import { constants, type Stats } from "node:fs";
import { access, mkdir, open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { RopewalkError } from "../base/errors.ts";
import { diskError, errnoName } from "./disk-error.ts";

const DIRECTORY_MODE = 0o700;

/** Makes or checks the directory; its absolute path. */
export async function openDataDirectory(path: string): Promise<string> {
  const directory = resolve(path);
  const found = await statOf(directory);
  if (found === undefined) await makeDirectory(directory);
  else if (!found.isDirectory()) throw unusable(directory, "is not a directory; name another one");
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const reason =
      errnoName(cause) === "EROFS" ? "is on a read-only file system" : "is not readable and writable";
    throw unusable(directory, `${reason} for this user; change that or name another one`, cause);
  }
  return directory;
}

/** fsync of a directory: entries made, renamed and removed before are durable. */
export async function syncDirectoryAt(path: string): Promise<void> {
  try {
    await using handle = await open(path, "r");
    await handle.sync();
  } catch (cause) {
    throw diskError({ call: "fsync", path, cause });
  }
}

async function statOf(directory: string): Promise<Stats | undefined> {
  try {
    return await stat(directory);
  } catch (cause) {
    if (errnoName(cause) === "ENOENT") return undefined;
    throw unusable(directory, `cannot be looked at (${errnoName(cause)}); name another one`, cause);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  let first: string | undefined;
  try {
    first = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (cause) {
    throw unusable(directory, `cannot be made (${errnoName(cause)}); name another one`, cause);
  }
  const top = first === undefined ? directory : dirname(first);
  for (let made = directory; made !== top; made = dirname(made)) await syncDirectoryAt(dirname(made));
}

function unusable(directory: string, reason: string, cause?: unknown): RopewalkError {
  return new RopewalkError("DATA_DIRECTORY", `The data directory ${directory} ${reason}.`, { cause });
}
