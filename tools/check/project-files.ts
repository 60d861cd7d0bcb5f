// The files of the repository as git sees them: tracked ones and new ones that are not ignored.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Paths relative to the root, sorted, in the given top folders (all if none is given). */
export function projectFiles(root: string, ...folders: string[]): string[] {
  const listing = execFileSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...folders],
    { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 },
  );
  const files = new Set(listing.split("\0").filter((file) => file !== ""));
  return [...files].filter((file) => existsSync(join(root, file))).sort();
}
