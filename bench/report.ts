// A suite's rows as people read them: a table for the terminal and one for docs/benchmarks.md.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Row } from "./row.ts";

export interface Report {
  readonly suite: string;
  /** How it was measured, one sentence a line. */
  readonly method: readonly string[];
  readonly machine: readonly string[];
  readonly rows: readonly Row[];
}

const HEADINGS = ["figure", "unit", "ours", "peer", "against", "ratio", "goal"];

export function textTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          isNumeric(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** The part of the document between the suite's two marks, which a run with `--markdown` writes anew. */
export function markdownSection(report: Report): string {
  const table = [
    HEADINGS,
    HEADINGS.map((_, column) => (isNumeric(column) ? "--:" : "---")),
    ...report.rows.map(cells),
  ];
  return [
    ...report.machine,
    "",
    ...report.method,
    "",
    ...table.map((line) => `| ${line.join(" | ")} |`),
  ].join("\n");
}

/** Replaces the suite's part of the file, or adds it at the end. Everything else stays as it was. */
export function writeMarkdown(file: string, report: Report): void {
  const [start, end] = [`<!-- bench ${report.suite} -->`, `<!-- end of bench ${report.suite} -->`];
  const part = `${start}\n\n${markdownSection(report)}\n\n${end}`;
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  const [from, to] = [before.indexOf(start), before.indexOf(end)];
  writeFileSync(
    file,
    from === -1 || to < from
      ? `${before}${before === "" ? "" : "\n"}${part}\n`
      : before.slice(0, from) + part + before.slice(to + end.length),
  );
}

function isNumeric(column: number): boolean {
  return column === 2 || column === 3 || column > 4;
}

function cells(row: Row): string[] {
  return [
    row.name,
    row.unit,
    number(row.ours),
    number(row.peer),
    row.peerName,
    row.ratio === null ? "" : row.ratio.toFixed(2),
    goalText(row),
  ];
}

function goalText(row: Row): string {
  if (row.goal === null) return "";
  if (row.ratio === null) return `${row.goal} ?`;
  return `${row.goal} ${row.ratio >= row.goal ? "yes" : "NO"}`;
}

function number(value: number | null): string {
  if (value === null) return "";
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}
