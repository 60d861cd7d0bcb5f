/** Whether a path leads into a folder, whatever links there are on the way; neither need exist. */
import { realpath } from "node:fs/promises";
import { resolve, sep } from "node:path";

export async function isInFolder(path: string, folder: string): Promise<boolean> {
  const [file, top] = await Promise.all([realPathOf(path), realPathOf(folder)]);
  return file === top || file.startsWith(top + sep);
}

function realPathOf(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}
