// The judge: whether two directory trees are equal, asked of rsync and of this file's own comparison, which also knows
// nanoseconds. Extended attributes and ACLs are read by Debian's getfattr. Names are bytes, shown as latin1.
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { runProgram, tryProgram } from "../support/run-program.ts";

const DIFFERENCES_MAX = 50;

/** What differs, one line each; empty: nothing. */
export async function treeDifferences(source: string, target: string): Promise<string[]> {
  const [rsync, ours, sourceXattrs, targetXattrs] = await Promise.all([
    rsyncDifferences(source, target),
    comparedDifferences(source, target),
    extendedAttributes(source),
    extendedAttributes(target),
  ]);
  const differences = [...rsync, ...ours];
  for (const path of new Set([...sourceXattrs.keys(), ...targetXattrs.keys()])) {
    const [one, other] = [sourceXattrs.get(path), targetXattrs.get(path)];
    if (one !== other)
      differences.push(`${path}: extended attributes ${one} at the source, ${other} at the target`);
  }
  return differences.slice(0, DIFFERENCES_MAX);
}

async function rsyncDifferences(source: string, target: string): Promise<string[]> {
  const { code, stdout, stderr } = await tryProgram(
    "rsync",
    ["-aHAXSnc", "--specials", "--devices", "--delete", "--itemize-changes", `${source}/`, `${target}/`],
    { timeoutMs: 600_000 },
  );
  const lines = stdout.split("\n").filter((line) => line !== "");
  if (code !== 0) lines.push(`rsync ended with ${code}: ${stderr}`);
  return lines.map((line) => `rsync: ${line}`);
}

function comparedDifferences(source: string, target: string): string[] {
  const differences: string[] = [];
  /** Inode of the source to that of the target, so that the same names are names of one file. */
  const inodes = new Map<bigint, bigint>();
  const compare = (one: Buffer, other: Buffer, shown: string): void => {
    const [here, there] = [
      lstatSync(one, { bigint: true }),
      lstatSync(other, { bigint: true, throwIfNoEntry: false }),
    ];
    if (there === undefined) {
      differences.push(`${shown}: not at the target`);
      return;
    }
    const isDirectory = here.isDirectory();
    for (const field of ["mode", "uid", "gid", "rdev", "mtimeNs"] as const)
      if (here[field] !== there[field])
        differences.push(`${shown}: ${field} ${here[field]} at the source, ${there[field]} at the target`);
    if (!isDirectory && here.size !== there.size)
      differences.push(`${shown}: ${here.size} bytes at the source, ${there.size} at the target`);
    if (here.isSymbolicLink() && there.isSymbolicLink()) {
      if (!readlinkSync(one, "buffer").equals(readlinkSync(other, "buffer")))
        differences.push(`${shown}: links elsewhere`);
    }
    if (here.isFile() && here.nlink > 1n) {
      const known = inodes.get(here.ino);
      if (known === undefined) inodes.set(here.ino, there.ino);
      else if (known !== there.ino) differences.push(`${shown}: not linked to its other name at the target`);
    }
    if (!isDirectory || !there.isDirectory()) return;
    const names = readdirSync(one, "buffer");
    const left = new Set(readdirSync(other, "buffer").map((name) => name.toString("latin1")));
    for (const name of names) {
      const text = name.toString("latin1");
      left.delete(text);
      compare(joined(one, name), joined(other, name), join(shown, text));
    }
    for (const name of left) differences.push(`${join(shown, name)}: only at the target`);
  };
  compare(Buffer.from(source), Buffer.from(target), "/");
  return differences;
}

function joined(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from("/"), name]);
}

/** By path: all attributes with their values, sorted. */
async function extendedAttributes(root: string): Promise<Map<string, string>> {
  const text = await runProgram("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."], {
    folder: root,
    timeoutMs: 600_000,
  });
  const found = new Map<string, string>();
  for (const block of text.split("\n\n")) {
    const [head, ...lines] = block.split("\n");
    if (head?.startsWith("# file: ")) found.set(head.slice(8), lines.sort().join(" "));
  }
  return found;
}
