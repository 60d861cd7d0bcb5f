// The scanner under the import check: code stays, comments and the insides of strings go, places stay.
import assert from "node:assert/strict";
import { test } from "node:test";
import { maskSource } from "./source-text.ts";

for (const [source, masked] of [
  ["a // b\nc", "a     \nc"],
  ["a /* b\n */ c", "a     \n    c"],
  ['f("a\\"b") + g', 'f("    ") + g'],
  ['x = /a"[/]b/g.y', "x = /       g.y"],
  ["a / b / c", "a / b / c"],
  ["`a ${b + `c ${d}`} e` + f", "`  ${b + `  ${d}`}  ` + f"],
  ["`${{ a: 1 }}b` // c", "`${{ a: 1 }} `     "],
  ["return /'/.test(a) ? 'b' : c", "return /  .test(a) ? ' ' : c"],
] as const)
  test(`masks ${JSON.stringify(source)}`, () => {
    const result = maskSource(source);
    assert.equal(result.length, source.length);
    assert.equal(result, masked);
  });
