// No file of the repository names a folder of the machine it was written on, or a package registry: a
// checkout must mean the same everywhere.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Check } from "./check.ts";
import { projectFiles } from "./project-files.ts";

const foreign: { pattern: RegExp; what: string }[] = [
  { pattern: /(?<![\w.~-])\/(?:work|root|home\/\w+|Users\/\w+)\/\w/, what: "a folder of one machine" },
  { pattern: /\bregistry\.[a-z]+js\.|\bregistry\.yarnpkg\./, what: "a package registry" },
  { pattern: /^\s*"resolved": "https?:/, what: "a download address" },
];

export const foreignNamesCheck: Check = { name: "foreign names", run: findForeignNames };

export function findForeignNames(root: string): string[] {
  return projectFiles(root).flatMap((file) => {
    const content = readFileSync(join(root, file));
    if (content.includes(0)) return [];
    return content
      .toString("utf8")
      .split("\n")
      .flatMap((line, index) =>
        foreign
          .filter(({ pattern }) => pattern.test(line))
          .map(({ what }) => `${file}:${index + 1}: names ${what}`),
      );
  });
}
