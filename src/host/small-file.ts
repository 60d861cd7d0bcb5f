/**
 * Small text files that the daemon, its command line and the library read: configuration, keys, certificates.
 * A second door of this room: the library needs files, and nothing else of the machine.
 * Always holds: a file is read wholly or not at all, and never more than 1 MiB of it.
 */
import { open } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";
import { errnoName } from "./disk-error.ts";

const FILE_BYTES_MAX = 2 ** 20;

/** The text of a file. Rejects with the system's error, or TOO_LARGE. */
export async function readSmallFile(path: string): Promise<string> {
  await using file = await open(path, "r");
  const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    length += bytesRead;
    if (length > FILE_BYTES_MAX)
      throw new RopewalkError("TOO_LARGE", `${path} is larger than ${FILE_BYTES_MAX} bytes.`);
    if (bytesRead === 0) return buffer.toString("utf8", 0, length);
  }
}

/** The text of a file that the configuration names. INVALID_CONFIG */
export async function readConfiguredFile(what: string, path: string): Promise<string> {
  try {
    return await readSmallFile(path);
  } catch (cause) {
    const reason = cause instanceof RopewalkError ? cause.message : errnoName(cause);
    throw new RopewalkError("INVALID_CONFIG", `The ${what} ${path} cannot be read: ${reason}.`, { cause });
  }
}
