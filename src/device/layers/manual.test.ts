import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { ERROR_CATALOGUE } from "../../base/errors.ts";
import { checkDeviceTree } from "../device-tree.ts";
import { buildStack, LAYER_KINDS } from "../stack.ts";
import { TREE_LAYER_KINDS } from "../tree-layer-kinds.ts";
import { OPERATIONS } from "./operation.ts";
import type { Parameter, ParameterTable } from "./parameters.ts";

const SECTIONS = ["Synopsis", "Description", "Parameters", "Operations", "Errors", "Example", "See also"];

for (const { name, parameters } of TREE_LAYER_KINDS) {
  const file = join(import.meta.dirname, `${name}.md`);
  const page = readFileSync(file, "utf8");

  test(`the manual of ${name} has the sections of every layer's manual, each with text`, () => {
    assert.match(page, new RegExp(`^# ${name}\n\n[A-Z].*\\.\n\n## Synopsis\n`));
    assert.deepEqual(
      [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title),
      SECTIONS,
    );
    for (const section of SECTIONS) assert.notEqual(sectionOf(page, section).trim(), "", section);
  });

  test(`the manual of ${name} says each parameter's type, unit, default and range as they are`, () => {
    assert.deepEqual(
      rowsOf(sectionOf(page, "Parameters")).map((cells) => cells.slice(0, 5)),
      parameterRows(parameters),
    );
  });

  test(`the manual of ${name} says what happens to every operation`, () => {
    const operations = rowsOf(sectionOf(page, "Operations")).map(([operation]) => operation);
    assert.deepEqual(
      operations,
      [...OPERATIONS, "close"].map((operation) => `\`${operation}\``),
    );
  });

  test(`the manual of ${name} shows configurations that are valid and have this layer`, () => {
    for (const section of ["Synopsis", "Example"]) {
      const yaml = /```yaml\n([\s\S]*?)```/.exec(sectionOf(page, section))![1]!;
      if (!LAYER_KINDS.some((kind) => kind.name === name)) {
        checkDeviceTree(parse(yaml));
        assert.match(yaml, new RegExp(`layer: ${name}\\b`), section);
        continue;
      }
      const { layers } = parse(yaml) as { layers: unknown };
      const stack = buildStack(layers, { clock: new SteppedClock(), print: () => {} });
      assert.ok(
        stack.describe().some(({ layer }) => layer === name),
        section,
      );
    }
  });

  test(`the manual of ${name} names only errors and pages that there are`, () => {
    for (const [, code] of page.matchAll(/`([A-Z][A-Z_]{4,})`/g)) assert.ok(code! in ERROR_CATALOGUE, code);
    for (const [, target] of page.matchAll(/\]\(([^)]+)\)/g)) {
      assert.ok(existsSync(join(import.meta.dirname, target!)), target);
    }
  });
}

function sectionOf(page: string, title: string): string {
  return page.split(`\n## ${title}\n`)[1]!.split("\n## ")[0]!;
}

/** Cells of the rows of a section's table, its head left out. */
function rowsOf(section: string): string[][] {
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

function parameterRows(table: ParameterTable, prefix = ""): string[][] {
  return Object.entries(table).flatMap(([name, parameter]) => {
    const rows = [[`\`${prefix}${name}\``, ...cellsOf(parameter)]];
    if (parameter.type === "list") rows.push(...parameterRows(parameter.of, `${prefix}${name}[].`));
    return rows;
  });
}

/** Type, unit, default and range as the manual writes them. */
function cellsOf(parameter: Parameter): string[] {
  const codes = (choices: readonly string[]) => choices.map((choice) => `\`${choice}\``).join(", ");
  switch (parameter.type) {
    case "list":
      return ["list of rules", "", "empty", `at most ${parameter.lengthMax}`];
    case "choice":
      return ["choice", "", parameter.default, codes(parameter.choices)];
    case "choices":
      assert.deepEqual(
        parameter.default,
        parameter.choices,
        "the manual knows lists that are complete by default",
      );
      return ["list", "", "all", codes(parameter.choices)];
    case "name":
      return ["name", "", parameter.default, "as of snapshots"];
    default: {
      const { type, unit, minimum, maximum, default: value } = parameter;
      const isUnlimited = maximum === Number.MAX_SAFE_INTEGER;
      const range = isUnlimited ? `${minimum} and up` : `${minimum} to ${maximum}`;
      return [type, unit, value === Number.MAX_SAFE_INTEGER ? "unlimited" : String(value), range];
    }
  }
}
