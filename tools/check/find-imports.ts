// Finds the imports and re-exports of a TypeScript file in its masked text (source-text.ts).

export interface Import {
  /** Where it begins in the text. */
  position: number;
  /** What is imported; undefined when it is computed at run time. */
  specifier: string | undefined;
  /** Erased before running: `import type` and `export type`, not `import { type X }`. */
  typeOnly: boolean;
  /** Names taken from the module; `*` for all of it. */
  names: string[];
}

/** Static forms: `import … from "x"`, `export … from "x"`, `import "x"`. */
const statement = /\b(import|export)(\s+type)?\b(?:([^;"'`()=]*?)\bfrom)?\s*(["'])/g;
const dynamic = /\bimport\s*\(\s*(["'`]?)/g;

export function findImports(text: string, masked: string): Import[] {
  const found: Import[] = [];
  for (const match of masked.matchAll(statement)) {
    const [whole, keyword, type, clause, quote] = match;
    if (keyword === "export" && clause === undefined) continue;
    const start = match.index + whole.length;
    found.push({
      position: match.index,
      specifier: text.slice(start, text.indexOf(quote!, start)),
      typeOnly: type !== undefined,
      names: namesOf(clause ?? "*"),
    });
  }
  for (const match of masked.matchAll(dynamic)) {
    const start = match.index + match[0].length;
    const quote = match[1]!;
    const specifier = quote === "" ? undefined : text.slice(start, text.indexOf(quote, start));
    found.push({ position: match.index, specifier, typeOnly: false, names: ["*"] });
  }
  return found.sort((a, b) => a.position - b.position);
}

function namesOf(clause: string): string[] {
  const braces = /\{([^}]*)\}/.exec(clause);
  const outside = clause
    .replace(/\{[^}]*\}/, "")
    .replaceAll(",", "")
    .trim();
  const inside = (braces?.[1] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const values = inside.filter((name) => !name.startsWith("type ")).map((name) => name.split(/\s+as\s+/)[0]!);
  return outside === "" ? values : ["*", ...values];
}
