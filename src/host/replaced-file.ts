/**
 * Small text files that the daemon writes: its key, its endpoints.
 * Always holds: a written file is there wholly and durably, or as it was before.
 */
import { randomBytes } from "node:crypto";
import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectoryAt } from "./data-directory.ts";

/** Replaces a file, or makes it, in one step. */
export async function replaceSmallFile(
  path: string,
  text: string,
  { mode }: { mode: number },
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    {
      await using file = await open(temporary, "wx", mode);
      await file.writeFile(text);
      await file.sync();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectoryAt(dirname(path));
}
