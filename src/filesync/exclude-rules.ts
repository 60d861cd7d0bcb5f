/**
 * Which paths a synchronization passes over, by patterns as rsync's and git's users know them.
 *
 * | pattern | passes over |
 * | --- | --- |
 * | `*.tmp` | every name like it, at any depth |
 * | `/cache`, `build/out` | that path from the root on |
 * | `**` | any number of directories; `*` and `?` stay within a name |
 *
 * Always holds: with a directory all in it is passed over; patterns are compared with the bytes of names. INVALID_ARGUMENT
 */
import { RopewalkError } from "../base/errors.ts";
import type { ExcludeRules, TreePath } from "../ports/mod.ts";
import { EXCLUDE_BYTES_MAX, EXCLUDES_MAX } from "../wire/filesync/mod.ts";

/** What is sent with each scan of a target. */
const PATTERNS_MAX = EXCLUDES_MAX;
const PATTERN_BYTES_MAX = 512;

export const NO_EXCLUDES: ExcludeRules = { patterns: [] };

export function compileExcludes(patterns: readonly string[]): ExcludeRules {
  if (patterns.length > PATTERNS_MAX)
    throw new RopewalkError("INVALID_ARGUMENT", `There may be at most ${PATTERNS_MAX} patterns to exclude.`);
  return { patterns: patterns.map(compilePattern) };
}

/** Tests paths, also those below what is passed over. */
export function excludeTest({ patterns }: ExcludeRules): (path: TreePath) => boolean {
  if (patterns.length === 0) return () => false;
  const pattern = new RegExp(patterns.map((each) => `(?:${each})`).join("|"), "s");
  return (path) => pattern.test(path);
}

function compilePattern(text: string): string {
  // Names are bytes, one character each.
  const bytes = Buffer.from(text).toString("latin1").replace(/\/+$/, "");
  if (bytes === "" || bytes.length > PATTERN_BYTES_MAX || bytes.includes("\0"))
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${JSON.stringify(text)} is no pattern: 1 to ${PATTERN_BYTES_MAX} bytes, as *.tmp or /cache.`,
    );
  const isAnchored = bytes.includes("/");
  const body = bytes.replace(/^\//, "").replace(/\*\*\/|\*\*|\*|\?|[\\^$.+()[\]{}|]/g, (part) => {
    if (part === "**/") return "(?:[^]*/)?";
    if (part === "**") return "[^]*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    return `\\${part}`;
  });
  const compiled = `${isAnchored ? "^" : "(?:^|/)"}${body}(?:/|$)`;
  if (compiled.length > EXCLUDE_BYTES_MAX)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${JSON.stringify(text)} has too many wildcards; use a shorter pattern.`,
    );
  return compiled;
}
