// Traces of one machine do not get into the repository.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixtureRepository } from "./fixture-repository.ts";
import { findForeignNames } from "./foreign-names.ts";

test("folders of one machine and download addresses are named with their line", (context) => {
  const root = fixtureRepository(context, {
    "a.md": `fine: /var/lib/ropewalk, frame/work/x, https://host/home/page\nsee ${"/home"}/someone/notes\n`,
    "b.json": `{\n  "resolved": "https://${"registry"}.example/x.tgz"\n}\n`,
  });
  assert.deepEqual(findForeignNames(root), [
    "a.md:2: names a folder of one machine",
    "b.json:2: names a download address",
  ]);
});
