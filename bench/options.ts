// The command line of `npm run bench`.
import { parseArgs } from "node:util";

export interface BenchOptions {
  readonly suite: string;
  /** Small sizes and one round, so that the whole suite ends within 60 s. */
  readonly quick: boolean;
  /** Only groups of rows whose name contains this. */
  readonly only: string;
  readonly rounds: number;
  readonly jsonFile: string | undefined;
  readonly markdownFile: string | undefined;
  /** Folder for the CPU profiles of our processes; undefined takes none. */
  readonly profileFolder: string | undefined;
  /** Folder on the disk to measure; undefined is the system's folder for temporary files. */
  readonly dataFolder: string | undefined;
}

export const USAGE = `usage: npm run bench -- SUITE [--quick] [--only NAME] [--rounds N] [--json FILE] [--markdown FILE]
                            [--cpu-prof FOLDER] [--data FOLDER]
suites: nbd, pool, copy, iscsi, filesync`;

/** Throws with a sentence if the arguments make no sense. */
export function parseOptions(parameters: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...parameters],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      rounds: { type: "string" },
      json: { type: "string" },
      markdown: { type: "string" },
      "cpu-prof": { type: "string" },
      data: { type: "string" },
    },
  });
  if (positionals.length !== 1) throw new Error("name one suite");
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds takes a positive whole number");
  return {
    suite: positionals[0]!,
    quick: values.quick,
    only: values.only,
    rounds,
    jsonFile: values.json,
    markdownFile: values.markdown,
    profileFolder: values["cpu-prof"],
    dataFolder: values.data,
  };
}
