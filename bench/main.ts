// `npm run bench -- SUITE`: measures ourselves beside the peers in one run and prints the ratios.
// Always holds: each figure printed comes from this run; what could not be measured is left empty and makes
// the exit code 1; whatever the ratios say, a complete run ends with 0.
import { mkdirSync, writeFileSync } from "node:fs";
import { TemporaryFolder } from "../test/support/temporary-folder.ts";
import { copySuite } from "./copy/copy-suite.ts";
import { filesyncSuite } from "./filesync/filesync-suite.ts";
import { iscsiSuite } from "./iscsi/iscsi-suite.ts";
import { describeMachine } from "./machine.ts";
import { nbdSuite } from "./nbd/nbd-suite.ts";
import { parseOptions, USAGE } from "./options.ts";
import { poolSuite } from "./pool/pool-suite.ts";
import { textTable, writeMarkdown } from "./report.ts";
import type { Suite } from "./suite.ts";

const PROGRAMS = ["nbdkit", "qemu-nbd", "fio"];

/** Each with the programs whose versions belong to its figures, but for those that it tells of itself. */
const suites: Record<string, { readonly run: Suite; readonly programs: readonly string[] }> = {
  nbd: { run: nbdSuite, programs: PROGRAMS },
  pool: { run: poolSuite, programs: PROGRAMS },
  copy: { run: copySuite, programs: PROGRAMS },
  iscsi: { run: iscsiSuite, programs: PROGRAMS },
  filesync: { run: filesyncSuite, programs: [] },
};

function usageError(sentence: string): never {
  console.error(`bench: ${sentence}\n${USAGE}`);
  process.exit(2);
}

function chosenOptions() {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    return usageError((error as Error).message);
  }
}

const options = chosenOptions();
const suite = suites[options.suite] ?? usageError(`there is no suite ${options.suite}`);
using folder = new TemporaryFolder(options.dataFolder);
const machine = await describeMachine(folder.path, suite.programs);
console.log(machine.join("\n"));

const startedMs = performance.now();
const { rows, method } = await suite.run({
  ...options,
  folder: folder.path,
  folderFor: (name) => {
    mkdirSync(folder.file(name), { recursive: true });
    return folder.file(name);
  },
  say: (line) =>
    console.error(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${line}`),
});

console.log(`\n${textTable(rows)}`);
if (options.jsonFile !== undefined) {
  writeFileSync(
    options.jsonFile,
    `${JSON.stringify({ suite: options.suite, rows, machine, method }, null, 2)}\n`,
  );
}
if (options.markdownFile !== undefined) {
  writeMarkdown(options.markdownFile, { suite: options.suite, method, machine, rows });
}
