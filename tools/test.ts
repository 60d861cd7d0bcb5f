// `npm test`: sets up what the tests want, then runs every test file under node:test, some at a time.
// Arguments are folders, files or globs to run instead of everything. The last lines are the counts, the
// skipped tests with their reasons, and one sentence; the exit code is 1 if anything failed.
import { globSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { installDebianPackages } from "./debian-packages.ts";

const root = resolve(import.meta.dirname, "..");
const everything = ["src", "sim", "bench", "test", "tools", "web"];
/** A test file that has not ended by then has hung. */
const fileTimeoutMs = 15 * 60 * 1000;
/** Real daemons and clients run inside the tests, so one core stays free for them. */
const concurrency = Math.max(1, Math.min(8, availableParallelism() - 1));

const chosen = process.argv.slice(2);
installDebianPackages();
const files = testFiles(chosen.length > 0 ? chosen : everything);
if (files.length === 0) {
  console.error(`no test files in ${chosen.join(" ") || everything.join(" ")}`);
  process.exit(1);
}

const startedMs = performance.now();
const count = { passed: 0, failed: 0, skipped: 0 };
const skips: string[] = [];
const failures: string[] = [];

const events = run({ files, concurrency, timeout: fileTimeoutMs, cwd: root });
events.on("test:pass", (event) => {
  if (event.details.type === "suite") return;
  if (event.skip === undefined) count.passed++;
  else {
    count.skipped++;
    skips.push(`${event.name} (${typeof event.skip === "string" ? event.skip : "no reason given"})`);
  }
});
events.on("test:fail", (event) => {
  // A parent that failed only because of its children is no further failure.
  const { failureType } = event.details.error as { failureType?: string };
  if (failureType === "subtestsFailed" || event.todo !== undefined) return;
  count.failed++;
  failures.push(`${event.file ? relative(root, event.file) : "?"}: ${event.name}`);
});
events.compose(spec).pipe(process.stdout);
await new Promise((done) => events.once("end", done));

process.on("exit", () => {
  const lines = [
    "",
    ...skips.map((line) => `skipped: ${line}`),
    ...failures.map((line) => `failed: ${line}`),
  ];
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  lines.push(
    `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped, ${files.length} files, ${seconds} s`,
  );
  console.log(lines.join("\n"));
  process.exitCode = count.failed > 0 ? 1 : 0;
});

function testFiles(places: string[]): string[] {
  const found = places.flatMap((place) =>
    statSync(resolve(root, place), { throwIfNoEntry: false })?.isDirectory()
      ? globSync(`${place}/**/*.test.ts`, { cwd: root, exclude: (name) => name === "node_modules" })
      : globSync(place, { cwd: root }),
  );
  return [...new Set(found)].sort().map((file) => resolve(root, file));
}
