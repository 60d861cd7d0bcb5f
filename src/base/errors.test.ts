import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { asRopewalkError, ERROR_CATALOGUE, Errno, RopewalkError } from "./errors.ts";

const codes = Object.keys(ERROR_CATALOGUE);

test("docs/errors.md says what to do about every code and no other", () => {
  const document = readFileSync(join(import.meta.dirname, "../../docs/errors.md"), "utf8");
  const section = document.split("\n## What to do\n")[1]!;
  const rows = [...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)];
  assert.deepEqual(
    rows.map(([, code]) => code),
    [...codes].sort(),
  );
  for (const [, code, advice] of rows) assert.match(advice!, /^\S.*\.$/, code);
});

test("every code has an HTTP status of failure, an NBD errno and a meaning", () => {
  const errnos: number[] = Object.values(Errno);
  for (const [code, { http, errno, meaning }] of Object.entries(ERROR_CATALOGUE)) {
    assert.match(code, /^[A-Z][A-Z_]+$/);
    assert.ok(http >= 400 && http < 600, code);
    assert.ok(errnos.includes(errno), code);
    assert.match(meaning, /\.$/, code);
  }
});

test("an error carries its code's entry and keeps its cause", () => {
  const cause = new Error("below");
  const error = new RopewalkError("NO_SPACE", "The pool is full.", { cause });
  assert.equal(error.entry, ERROR_CATALOGUE.NO_SPACE);
  assert.equal(error.cause, cause);
  assert.equal(asRopewalkError(error), error);
});

test("what is not catalogued becomes INTERNAL with its cause", () => {
  const cause = new TypeError("odd");
  const error = asRopewalkError(cause);
  assert.deepEqual([error.code, error.message, error.cause], ["INTERNAL", "odd", cause]);
  assert.equal(asRopewalkError("text").message, "text");
});
