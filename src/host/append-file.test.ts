import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openAppendFile } from "./append-file.ts";
import { temporaryDirectory } from "./testing/temporary-directory.ts";

test("what was appended is there at the next opening, until it is cleared", async (t) => {
  const path = join(temporaryDirectory(t), "folder", "journal");
  const file = await openAppendFile(path, { bytesMax: 100 });
  assert.equal(file.content.length, 0);
  file.append(Buffer.from("one "));
  file.append(Buffer.from("two"));
  assert.equal(readFileSync(path, "latin1"), "one two");
  await file.sync();
  await file.close();
  const again = await openAppendFile(path, { bytesMax: 100 });
  assert.equal(Buffer.from(again.content).toString(), "one two");
  again.clear();
  again.append(Buffer.from("three"));
  assert.equal(readFileSync(path, "latin1"), "three");
  await again.close();
});

test("a file that is too long is no journal, and stays as it is", async (t) => {
  const path = join(temporaryDirectory(t), "journal");
  writeFileSync(path, "x".repeat(101));
  await assert.rejects(openAppendFile(path, { bytesMax: 100 }), { code: "TOO_LARGE" });
  assert.equal(readFileSync(path).length, 101);
});
