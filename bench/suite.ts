// What a suite of benchmarks is: given where to keep data and how thorough to be, it measures rows.
import type { BenchOptions } from "./options.ts";
import { plainRow, type Row } from "./row.ts";

export interface SuiteContext extends BenchOptions {
  /** An empty folder, removed afterwards. */
  readonly folder: string;
  /** A folder inside it, made if need be. */
  readonly folderFor: (name: string) => string;
  /** Progress for whoever watches. */
  readonly say: (line: string) => void;
}

export interface SuiteResult {
  /** A figure that could not be taken is null in its row. */
  readonly rows: Row[];
  /** How it was measured, for the document. */
  readonly method: string[];
}

export type Suite = (context: SuiteContext) => Promise<SuiteResult>;

/** Rows that are measured together. */
export interface Group {
  /** The names of its rows; `--only` chooses by them. */
  readonly rows: readonly string[];
  readonly measure: (context: SuiteContext) => Promise<Row[]>;
}

/**
 * Measures the rows whose name contains what `--only` asked for; all without it. A group that fails says why,
 * leaves its rows empty and lets the others go on; the process then ends with 1.
 */
export async function measureGroups(groups: readonly Group[], context: SuiteContext): Promise<Row[]> {
  const wanted = (name: string) => name.includes(context.only);
  const chosen = groups.filter((group) => group.rows.some(wanted));
  if (chosen.length === 0) {
    throw new Error(
      `no row is called ${context.only}; there are:\n${groups.flatMap((group) => group.rows).join("\n")}`,
    );
  }
  const rows: Row[] = [];
  for (const group of chosen) {
    context.say(group.rows.filter(wanted).join("; "));
    try {
      rows.push(...(await group.measure(context)).filter(({ name }) => wanted(name)));
    } catch (error) {
      context.say(`  failed: ${(error as Error).message}`);
      process.exitCode = 1;
      rows.push(...group.rows.filter(wanted).map((name) => plainRow({ name, unit: "", ours: [] })));
    }
  }
  return rows;
}
