// libiscsi's own test suite against a logical unit: what it is run with, and what it printed, read in one place.
// Always holds: a run that ends without its summary, or by a signal, has failed, whatever it printed before.
import { tryProgram } from "../support/run-program.ts";

/** It counts what it skips as passed. Each line that it prints for one gives a reason. */
const SKIP = /\[SKIPPED\]\s*(.*\S)/g;
const FAILED_TEST = /^Suite (\S+), Test (\S+) had failures:\n((?:\s+\d+\. .*\n)*)/gm;
const SUMMARY = /^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+\s*$/m;

/**
 * Why a disk that is fixed, and that a volume of 4 KiB pages stands for, may skip: nobody can take it out or write
 * protect it, a WRITE SAME of no blocks is refused (WSNZ), and a physical block is no larger than a logical one.
 */
const FIXED_DISK_REASONS = [
  "Logical unit is not removable. Skipping test.",
  "Media is not removable.",
  "Logical unit is not write-protected. Skipping test.",
  "WRITESAME10 does not support 0-blocks.",
  "WRITESAME16 does not support 0-blocks.",
  "LBPPB < 2. Skipping test",
];

export interface Conformance {
  readonly testsRun: number;
  /** `SUITE.TEST: assertions`, and sentences about the run as a whole. */
  readonly failures: readonly string[];
  /** The reason of each skip line. */
  readonly skips: readonly string[];
  readonly elapsedMs: number;
}

/** A unit through two portals. All data on it is lost. */
export type UnitUrls = readonly [string, string];

export interface ConformanceOptions {
  readonly unit: UnitUrls;
  /** Another one, of at least RESET_UNIT_BYTES. */
  readonly resetUnit: UnitUrls;
  /** `ALL` has every test once; without it every family runs, and most tests several times. */
  readonly family?: "ALL";
  readonly timeoutMs: number;
}

/**
 * With two portals the suite's Sanitize.Reservations leaves the second session's RESERVE (6) in place, and
 * Sanitize.Reset behind it can only meet that. It counts as it ends by itself, beside the others.
 */
const RESET_TEST = "Sanitize.Reset";

/** So large that overwriting it outlasts what that test does meanwhile, some five seconds. */
export const RESET_UNIT_BYTES = 2 ** 30;

/** Rejects if it cannot be started or runs out of time. */
export async function runConformance(options: ConformanceOptions): Promise<Conformance> {
  const { unit, resetUnit, family, timeoutMs } = options;
  const [all, reset] = await Promise.all([
    runTests({ urls: unit, tests: family, timeoutMs }),
    runTests({ urls: resetUnit, tests: `ALL.${RESET_TEST}`, timeoutMs }),
  ]);
  return {
    testsRun: all.testsRun,
    failures: [...all.failures.filter((failure) => !failure.startsWith(`${RESET_TEST}:`)), ...reset.failures],
    skips: [...all.skips, ...reset.skips],
    elapsedMs: Math.max(all.elapsedMs, reset.elapsedMs),
  };
}

async function runTests(run: {
  urls: UnitUrls;
  tests: string | undefined;
  timeoutMs: number;
}): Promise<Conformance> {
  const chosen = run.tests === undefined ? [] : [`--test=${run.tests}`];
  const { code, stdout, stderr, elapsedMs } = await tryProgram(
    "iscsi-test-cu",
    ["--normal", "--dataloss", "--allow-sanitize", ...chosen, ...run.urls],
    { timeoutMs: run.timeoutMs },
  );
  // Its exit code is 1 when a test failed; a signal is 128 here.
  return { ...parseConformance(stdout, code <= 1 ? "" : `exit ${code}: ${stderr.trim()}`), elapsedMs };
}

export function parseConformance(output: string, defect = ""): Omit<Conformance, "elapsedMs"> {
  const failures = [...output.matchAll(FAILED_TEST)].map(
    ([, suite, name, assertions]) => `${suite}.${name}: ${assertions!.trim().replace(/\s*\n\s*/g, "; ")}`,
  );
  const summary = SUMMARY.exec(output);
  const [testsRun, failed] = [Number(summary?.[2] ?? 0), Number(summary?.[4] ?? 0)];
  if (summary === null) failures.push(`it ended without a summary: ${output.slice(-300).trim()}`);
  if (failed > failures.length) failures.push(`${failed} tests failed in all`);
  if (defect !== "") failures.push(defect);
  return { testsRun, failures, skips: [...output.matchAll(SKIP)].map(([, reason]) => reason!) };
}

/** The skips that no fixed disk need have. */
export function avoidableSkips(skips: readonly string[]): string[] {
  return skips.filter((reason) => !FIXED_DISK_REASONS.includes(reason));
}

/** `9 × reason`, the most frequent first. */
export function skipReasons(skips: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const reason of skips) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} × ${reason}`);
}
