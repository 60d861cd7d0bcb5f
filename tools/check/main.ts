// `npm run check`: all static checks side by side, one line each; a failing one also prints what and where.
// Arguments name the checks to run, all of them otherwise. Exit code 1 if any failed. `npm run generate`
// writes the documents that are made from the code.
import { resolve } from "node:path";
import { catalogueCheck } from "./catalogue.ts";
import type { Check } from "./check.ts";
import { errorDocumentCheck } from "./error-document.ts";
import { foreignNamesCheck } from "./foreign-names.ts";
import { importPictureCheck } from "./import-picture.ts";
import { importsCheck } from "./imports.ts";
import { openApiCheck } from "./open-api-document.ts";
import { styleCheck } from "./style.ts";
import { typesCheck } from "./types.ts";

const checks: Check[] = [
  typesCheck,
  styleCheck,
  importsCheck,
  importPictureCheck,
  errorDocumentCheck,
  openApiCheck,
  catalogueCheck,
  foreignNamesCheck,
];

const root = resolve(import.meta.dirname, "../..");
const names = process.argv.slice(2);
const unknown = names.filter((name) => !checks.some((check) => check.name === name));
if (unknown.length > 0) {
  console.error(
    `no check is called ${unknown.join(", ")}; there are: ${checks.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

const chosen = checks.filter(({ name }) => names.length === 0 || names.includes(name));
const passed = await Promise.all(chosen.map(runCheck));
process.exit(passed.every((ok) => ok) ? 0 : 1);

async function runCheck({ name, run }: Check): Promise<boolean> {
  const startedMs = performance.now();
  let problems: string[];
  try {
    problems = await run(root);
  } catch (error) {
    problems = [error instanceof Error ? error.message : String(error)];
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const head = problems.length === 0 ? `ok      ${name}` : `FAILED  ${name}`;
  console.log(
    [`${head} (${seconds} s)`, ...problems.map((problem) => problem.replace(/^/gm, "        "))].join("\n"),
  );
  return problems.length === 0;
}
