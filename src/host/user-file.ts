/**
 * Files that a user of the command line names: read whole within a limit, written as a stream.
 * Always holds: a file that is written appears under its name only when all of it is there; what is no plain file,
 * such as a pipe or a terminal, is written as it comes.
 */
import { randomBytes } from "node:crypto";
import { open, rename, stat, unlink } from "node:fs/promises";
import { RopewalkError } from "../base/errors.ts";

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Rejects with the system's error, or TOO_LARGE. */
export async function readUserFile(path: string, bytesMax: number): Promise<Uint8Array> {
  await using file = await open(path, "r");
  const buffer = Buffer.alloc(bytesMax + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    length += bytesRead;
    if (length > bytesMax) throw new RopewalkError("TOO_LARGE", `${path} is larger than ${bytesMax} bytes.`);
    if (bytesRead === 0) return buffer.subarray(0, length);
  }
}

/** Makes or replaces the file; it has `mode` from its first byte on. Rejects with the system's error or that of `pieces`. */
export async function writeUserFile(path: string, pieces: Pieces, mode: number): Promise<void> {
  const present = await stat(path).catch(() => undefined);
  if (present && !present.isFile()) return writePieces(path, "w", pieces, mode);
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writePieces(temporary, "wx", pieces, mode);
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function writePieces(path: string, flags: "w" | "wx", pieces: Pieces, mode: number): Promise<void> {
  await using file = await open(path, flags, mode);
  for await (const piece of pieces) await file.writeFile(piece);
  if (flags === "wx") await file.sync();
}
