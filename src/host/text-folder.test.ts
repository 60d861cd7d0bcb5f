import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { TextFolder } from "./text-folder.ts";

test("a text is written, read, replaced, listed and removed", async () => {
  using folder = new TemporaryFolder();
  const texts = new TextFolder(folder.file("texts"));
  await texts.write("b", "one");
  await texts.write("a.x", "two");
  await texts.write("b", "three");
  assert.deepEqual(await texts.list(), ["a.x", "b"]);
  assert.equal(await texts.read("b"), "three");
  assert.equal(statSync(folder.file("texts/b.json")).mode & 0o777, 0o600);
  await texts.remove("b");
  await texts.remove("b");
  assert.equal(await texts.read("b"), undefined);
  assert.deepEqual(readdirSync(folder.file("texts")), ["a.x.json"]);
});

test("looking makes no folder", async () => {
  using folder = new TemporaryFolder();
  const texts = new TextFolder(folder.file("texts"));
  assert.deepEqual(await texts.list(), []);
  assert.equal(await texts.read("a"), undefined);
  await texts.remove("a");
  assert.ok(!existsSync(folder.file("texts")));
});

test("files of a replacement that was cut off are no texts", async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file("texts"));
  writeFileSync(folder.file("texts/a.json.0123456789ab"), "half");
  assert.deepEqual(await new TextFolder(folder.file("texts")).list(), []);
});

test("a folder that cannot be used is DATA_DIRECTORY", async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file("texts"), "a file");
  chmodSync(folder.file("texts"), 0o600);
  const texts = new TextFolder(folder.file("texts"));
  await assert.rejects(texts.write("a", "x"), { code: "DATA_DIRECTORY" });
  await assert.rejects(texts.read("a"), { code: "DATA_DIRECTORY" });
  await assert.rejects(texts.list(), { code: "DATA_DIRECTORY" });
});
