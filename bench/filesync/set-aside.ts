// Targets emptied between measurements without removing files: ext4 does not use the inodes of removed files again for
// minutes, and looks past each of them for every new file. Behind the removal of 20,000 files the next 20,000 took
// 3 to 7 times as long to make, whoever made them. What was set aside goes with the suite's folder.
import { mkdtempSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { SuiteContext } from "../suite.ts";

/** The folder stays the one that it is, and is empty. */
export function setAside(context: SuiteContext, folder: string): void {
  const place = mkdtempSync(join(context.folderFor("aside"), "set-"));
  for (const name of readdirSync(folder)) renameSync(join(folder, name), join(place, name));
}
