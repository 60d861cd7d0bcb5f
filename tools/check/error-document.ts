// docs/errors.md against the catalogue of src/base/errors.ts: the same codes, each with the same HTTP status,
// NBD errno and meaning. The table is generated; this check reads it back cell by cell to name the difference.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Check } from "./check.ts";
import { markedPart } from "./marked-part.ts";

export const errorDocumentFile = "docs/errors.md";
export const errorTableName = "error table";

export interface ErrorCatalogue {
  entries: Record<string, { http: number; errno: number; meaning: string }>;
  errnoNames: Record<string, number>;
}

export const errorDocumentCheck: Check = {
  name: "error catalogue",
  run: async (root) => {
    const catalogue = await loadErrorCatalogue(root);
    if (!catalogue) return [];
    const file = join(root, errorDocumentFile);
    return compareErrors(catalogue, existsSync(file) ? readFileSync(file, "utf8") : "");
  },
};

/** The catalogue of the checkout, or undefined where src/base/errors.ts does not exist. */
export async function loadErrorCatalogue(root: string): Promise<ErrorCatalogue | undefined> {
  const file = join(root, "src/base/errors.ts");
  if (!existsSync(file)) return undefined;
  const module = (await import(file)) as {
    ERROR_CATALOGUE: ErrorCatalogue["entries"];
    Errno: ErrorCatalogue["errnoNames"];
  };
  return { entries: module.ERROR_CATALOGUE, errnoNames: module.Errno };
}

export function errorTable(catalogue: ErrorCatalogue): string {
  const rows = errorRows(catalogue).map(
    (row) => `| \`${row.code}\` | ${row.http} | ${row.errno} | ${row.meaning} |`,
  );
  return ["| code | HTTP status | NBD errno | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

export function compareErrors(catalogue: ErrorCatalogue, document: string): string[] {
  const table = markedPart(document, errorTableName);
  if (table === undefined) return [`${errorDocumentFile}: the marks of the error table are missing`];
  const documented = new Map<string, string[]>();
  for (const line of table.split("\n")) {
    const cells = line.split("|").map((cell) => cell.trim());
    const code = /^`(\w+)`$/.exec(cells[1] ?? "")?.[1];
    if (code) documented.set(code, cells.slice(2, -1));
  }
  const problems: string[] = [];
  for (const { code, http, errno, meaning } of errorRows(catalogue)) {
    const cells = documented.get(code);
    if (!cells) problems.push(`${errorDocumentFile}: ${code} is missing`);
    else if (cells.join("|") !== [http, errno, meaning].join("|"))
      problems.push(
        `${errorDocumentFile}: ${code} says ${cells.join(", ")}; it is ${http}, ${errno}, ${meaning}`,
      );
    documented.delete(code);
  }
  for (const code of documented.keys()) problems.push(`${errorDocumentFile}: ${code} does not exist`);
  if (problems.length > 0) problems.push("npm run generate writes the table anew");
  return problems;
}

function errorRows({ entries, errnoNames }: ErrorCatalogue) {
  return Object.entries(entries)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { http, errno, meaning }]) => {
      const name = Object.keys(errnoNames).find((candidate) => errnoNames[candidate] === errno) ?? "unnamed";
      return { code, http: String(http), errno: `${name} (${errno})`, meaning: meaning.replaceAll("|", "/") };
    });
}
