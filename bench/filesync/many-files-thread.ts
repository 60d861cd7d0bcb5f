// A thread that makes its share of a tree of many files.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { workerData } from "node:worker_threads";
import { Prng } from "../../src/base/prng.ts";
import { directoryName, type FilesToMake, fileName } from "./many-files.ts";

const { folder, directories, filesEach, bytes, from, step } = workerData as FilesToMake;
const prng = new Prng(from);
const content = Buffer.alloc(bytes);
for (let at = 0; at < bytes; at++) content[at] = prng.word();

for (let directory = from; directory < directories; directory += step) {
  const path = join(folder, directoryName(directory));
  mkdirSync(path);
  for (let file = 0; file < filesEach; file++) {
    content.write(`${directory}/${file} `, "latin1");
    writeFileSync(join(path, fileName(file)), content);
  }
}
