// The import check on small trees: what it lets pass, and each kind of violation that it must catch.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fixtureRepository } from "./fixture-repository.ts";
import { checkImports } from "./imports.ts";

const manifest = JSON.stringify({
  dependencies: { koffi: "1.0.0", pino: "1.0.0" },
  devDependencies: { "fast-check": "1.0.0" },
});

function problems(context: TestContext, files: Record<string, string>): string[] {
  return checkImports(fixtureRepository(context, { "package.json": manifest, ...files }));
}

test("imports within the table pass", (context) => {
  const found = problems(context, {
    "src/pool/mod.ts": 'export { Log } from "./log.ts";\n',
    "src/pool/log.ts": [
      'import { Buffer } from "node:buffer";',
      'import { createHash } from "node:crypto";',
      'import { assert } from "../base/assert.ts";',
      'import type { BlockDevice } from "../device/mod.ts";',
    ].join("\n"),
    "src/pool/log.test.ts":
      'import fs from "node:fs";\nimport fc from "fast-check";\nimport { SimDisk } from "../../sim/disk.ts";\n',
    "src/host/file.ts":
      'import fs from "node:fs";\nimport koffi from "koffi";\nsetTimeout(() => {}, Date.now());\n',
    "src/client/api.ts": 'import type { VolumeInfo } from "../frontend/http/mod.ts";\n',
    "src/main.ts": 'import { serve } from "./host/mod.ts";\nimport { Pool } from "./pool/mod.ts";\n',
    "sim/disk.ts": 'import { Pool } from "../src/pool/mod.ts";\n',
  });
  assert.deepEqual(found, []);
});

const violations: { sentence: string; file: string; text: string; expected: RegExp }[] = [
  {
    sentence: "a room that the table does not allow is caught",
    file: "src/pool/log.ts",
    text: 'import {\n  Store,\n} from "../offload/mod.ts";\n',
    expected: /^src\/pool\/log\.ts:1: pool may not import offload/,
  },
  {
    sentence: "a type import of a forbidden room is caught",
    file: "src/device/layer.ts",
    text: 'import type { Pool } from "../pool/mod.ts";',
    expected: /device may not import pool/,
  },
  {
    sentence: "a re-export of a forbidden room is caught",
    file: "src/wire/nbd/mod.ts",
    text: 'export * from "../../device/mod.ts";',
    expected: /wire may not import device/,
  },
  {
    sentence: "a dynamic import of a forbidden room is caught",
    file: "src/base/lazy.ts",
    text: 'export const pool = () => import("../pool/mod.ts");',
    expected: /base may not import pool/,
  },
  {
    sentence: "reaching past a public door is caught",
    file: "src/offload/token.ts",
    text: 'import { Log } from "../pool/log.ts";',
    expected: /reaches past the door of pool: import src\/pool\/mod\.ts/,
  },
  {
    sentence: "a test elsewhere that reaches past a door is caught",
    file: "test/nbd/read.test.ts",
    text: 'import { Log } from "../../src/pool/log.ts";',
    expected: /reaches past the door of pool/,
  },
  {
    sentence: "an import of main is caught",
    file: "sim/main.ts",
    text: 'import "../src/main.ts";',
    expected: /sim may not import main/,
  },
  {
    sentence: "a value imported where only types are allowed is caught",
    file: "src/client/api.ts",
    text: 'import { routes } from "../frontend/http/mod.ts";',
    expected: /only types of frontend\/http/,
  },
  {
    sentence: "files used outside host are caught",
    file: "src/pool/log.ts",
    text: 'import { readSync } from "node:fs";',
    expected: /imports node:fs; only src\/host may/,
  },
  {
    sentence: "a builtin module without its prefix is caught",
    file: "src/pool/log.ts",
    text: 'import { readSync } from "fs";',
    expected: /without its node: prefix/,
  },
  {
    sentence: "randomness from node:crypto outside host is caught",
    file: "src/offload/token.ts",
    text: 'import { createHmac, randomBytes } from "node:crypto";',
    expected: /imports randomBytes of node:crypto/,
  },
  {
    sentence: "a package kept to another room is caught",
    file: "src/pool/log.ts",
    text: 'import koffi from "koffi";',
    expected: /imports koffi, which only host may/,
  },
  {
    sentence: "a package that is only a development dependency is caught in shipped code",
    file: "src/pool/log.ts",
    text: 'import fc from "fast-check";',
    expected: /fast-check, which is not among the dependencies/,
  },
  {
    sentence: "a file in no room is caught",
    file: "src/stray.ts",
    text: "export const stray = 1;",
    expected: /belongs to no room/,
  },
];

for (const { sentence, file, text, expected } of violations)
  test(sentence, (context) => {
    const found = problems(context, { [file]: text });
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, expected);
  });

for (const use of [
  "Date.now()",
  "new Date()",
  "Math.random()",
  "setTimeout(run, 1)",
  "globalThis.setImmediate(run)",
  "process.hrtime.bigint()",
  "performance.now()",
  "crypto.randomUUID()",
])
  test(`${use} outside host is caught`, (context) => {
    const found = problems(context, { "src/pool/log.ts": `// a comment\nexport const x = ${use};\n` });
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, /^src\/pool\/log\.ts:2: uses /);
  });

test("the same words in comments, strings and methods of a port are no violation", (context) => {
  const text = [
    "// Date.now() and import x from 'node:fs'",
    '/* setTimeout() */ const s = "Math.random()";',
    "const t = `setTimeout(${clock.setTimeout(1)}) import y from 'node:net'`;",
    'clock.setTimeout(1);\nconst r = /import z from "node:net"/;',
  ].join("\n");
  assert.deepEqual(problems(context, { "src/pool/log.ts": text }), []);
});
