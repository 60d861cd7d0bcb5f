// A process of its own that works in a folder until it fails or is ended: files made, replaced and removed, each made
// durable, beside large ones that never are. What it is about to do and what is durable it says on standard output
// first, one FileEvent a line, written synchronously. Arguments: the folder, a seed, the number of the first version.
import { closeSync, constants, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/base/prng.ts";
import { FILES, type FileEvent, versionBytes } from "./iscsi-expected-files.ts";

const NOISE_FILES = 4;
const NOISE_BYTES = 2 ** 20;
const REMOVE_CHANCE = 0.15;
const NOISE_CHANCE = 0.3;

const [folder, seed, first] = process.argv.slice(2) as [string, string, string];
const prng = new Prng(Number(seed));
const below = (count: number) => Math.floor(prng.fraction() * count);
const present = new Set<string>();

function say(event: FileEvent): void {
  writeSync(1, `${JSON.stringify(event)}\n`);
}

function writeFile(path: string, bytes: Uint8Array, { durable }: { durable: boolean }): void {
  const file = openSync(path, constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY, 0o644);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    if (durable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(): void {
  const handle = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function change(name: string, version: number | null): void {
  say({ kind: "begun", name, version });
  const path = join(folder, name);
  if (version === null) unlinkSync(path);
  else {
    writeFile(`${path}.new`, versionBytes(version), { durable: true });
    renameSync(`${path}.new`, path);
  }
  syncFolder();
  say({ kind: "durable", name, version });
}

for (let version = Number(first); ; version++) {
  if (prng.chance(NOISE_CHANCE)) {
    const noise = Buffer.alloc(NOISE_BYTES, below(256));
    writeFile(join(folder, `noise-${below(NOISE_FILES)}`), noise, { durable: false });
  }
  const name = `file-${below(FILES)}`;
  const removes = present.has(name) && prng.chance(REMOVE_CHANCE);
  change(name, removes ? null : version);
  if (removes) present.delete(name);
  else present.add(name);
}
