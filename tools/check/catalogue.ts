// docs/catalogue.md against the tests: every promise has its row, and a row that is offered (or partly so)
// names tests, as `path/of.test.ts` "title", that exist under that title. "not yet" may stand without one.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Check } from "./check.ts";

export const catalogueFile = "docs/catalogue.md";

/** Letter and number of rows of each chapter of the catalogue. */
const chapters: Record<string, number> = { T: 30, F: 14, S: 7, A: 16 };
const statuses = ["offered", "partly", "not yet"];

export const catalogueCheck: Check = {
  name: "catalogue",
  run: (root) => {
    const file = join(root, catalogueFile);
    return existsSync(file)
      ? compareCatalogue(root, readFileSync(file, "utf8"))
      : [`${catalogueFile} is missing`];
  },
};

export function compareCatalogue(root: string, document: string, wanted = chapters): string[] {
  const rows = new Map<string, string[]>();
  const problems: string[] = [];
  for (const line of document.split("\n")) {
    const cells = line.split("|").map((cell) => cell.trim());
    const id = /^[A-Z]\d+$/.exec(cells[1] ?? "")?.[0];
    if (!id) continue;
    if (rows.has(id)) problems.push(`${catalogueFile}: ${id} stands twice`);
    rows.set(id, cells.slice(2, -1));
  }
  for (const [letter, count] of Object.entries(wanted))
    for (let number = 1; number <= count; number++)
      if (!rows.has(`${letter}${number}`)) problems.push(`${catalogueFile}: ${letter}${number} is missing`);
  for (const [id, cells] of rows) problems.push(...rowProblems(root, id, cells));
  return problems;
}

function rowProblems(root: string, id: string, cells: string[]): string[] {
  const [promise, status, where, proof] = cells;
  if (cells.length !== 4) return [`${catalogueFile}: ${id} has ${cells.length + 1} columns, not 5`];
  if (!statuses.includes(status!))
    return [`${catalogueFile}: ${id} has status "${status}", not ${statuses.join(", ")}`];
  if (promise === "") return [`${catalogueFile}: ${id} says no promise`];
  const tests = [...proof!.matchAll(/`([^`]+)` "([^"]+)"/g)];
  if (status !== "not yet" && where === "")
    return [`${catalogueFile}: ${id} does not say where it is offered`];
  if (status !== "not yet" && tests.length === 0)
    return [`${catalogueFile}: ${id} is ${status} without a test`];
  return tests
    .map(([, file, title]) => missingTest(root, file!, title!))
    .filter((problem) => problem !== undefined)
    .map((problem) => `${catalogueFile}: ${id} ${problem}`);
}

function missingTest(root: string, file: string, title: string): string | undefined {
  if (!/^(src|sim|test|tools|bench|web)\/.*\.test\.ts$/.test(file))
    return `names ${file}, which npm test does not run`;
  if (!existsSync(join(root, file))) return `names ${file}, which does not exist`;
  const text = readFileSync(join(root, file), "utf8");
  const call = new RegExp(`\\b(?:test|it)\\(\\s*["'\`]${escapeForRegExp(title)}["'\`]`);
  return call.test(text) ? undefined : `names a test "${title}" that is not in ${file}`;
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
