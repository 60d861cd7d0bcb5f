// A real ext4 image made from a real folder tree, and an edit of it that comes out bit for bit the same wherever
// it is done (debugfs with a fixed time), so that a volume can be compared with the expectation.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram, tryProgram } from "../support/run-program.ts";

const root = join(import.meta.dirname, "../..");
const FIXED_TIME = { E2FSPROGS_FAKE_TIME: "1700000000", DEBUGFS_PAGER: "cat" };
/** What a tree may fill of the image: the rest must be left as holes. */
const FILLED_SHARE_MAX = 0.6;
const IMAGE_TIMEOUT_MS = 900_000;

/** The largest of the machine's trees, and of this project's, that fits well into an image of that size. */
export async function treeFor(sizeBytes: number): Promise<string> {
  for (const tree of ["/usr", "/usr/lib", "/usr/share", "/usr/bin", join(root, "src"), join(root, "bin")]) {
    if (!existsSync(tree)) continue;
    const usedKib = Number((await tryProgram("du", ["-s", "-k", tree])).stdout.split("\t")[0]);
    if (usedKib > 0 && usedKib * 1024 < sizeBytes * FILLED_SHARE_MAX) return tree;
  }
  throw new Error(`no tree fits into an image of ${sizeBytes} bytes`);
}

export async function makeImage(options: { file: string; tree: string; sizeBytes: number }): Promise<void> {
  const { file, tree, sizeBytes } = options;
  await runProgram("mke2fs", ["-q", "-t", "ext4", "-d", tree, file, `${Math.floor(sizeBytes / 1024)}k`], {
    timeoutMs: IMAGE_TIMEOUT_MS,
  });
}

/** Makes a folder with a file in it and removes `removed`, in the image in `file` (also one that is served). */
export async function editImage(options: { file: string; folder: string }): Promise<void> {
  const { file, folder } = options;
  const script = join(folder, "edit");
  writeFileSync(
    script,
    `mkdir edited\nwrite ${join(root, "package-lock.json")} edited/file\nsymlink edited/link file\n`,
  );
  const { stderr } = await tryProgram("debugfs", ["-w", "-f", script, file], { environment: FIXED_TIME });
  // debugfs ends with 0 whatever happens; its first line on stderr is its version.
  const complaints = stderr.split("\n").slice(1).join("\n").trim();
  if (complaints !== "") throw new Error(`debugfs: ${complaints}`);
}

/** What e2fsck finds wrong; nothing if the file system is clean. */
export async function fileSystemProblems(file: string): Promise<string[]> {
  const { code, stdout, stderr } = await tryProgram("e2fsck", ["-f", "-n", file], {
    timeoutMs: IMAGE_TIMEOUT_MS,
  });
  return code === 0 ? [] : [`e2fsck exit ${code}: ${stdout}${stderr}`];
}
