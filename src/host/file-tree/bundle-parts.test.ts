import assert from "node:assert/strict";
import { test } from "node:test";
import { readBundle } from "../../wire/filesync/mod.ts";
import { bundleParts } from "./bundle-parts.ts";
import { bundleOf, directoryOf, fileOf, removalOf } from "./testing/temporary-target.ts";

const files = Array.from({ length: 700 }, (_, n) => fileOf(`f${n}`, "x".repeat(n)));

test("the parts of a bundle are the bundle, and each begins with an operation", () => {
  const bundle = bundleOf(directoryOf("d"), ...files);
  const parts = bundleParts(bundle, 4);
  assert.equal(parts.length, 4);
  assert.deepEqual(Buffer.concat(parts.map((part) => part.bytes)), bundle);
  const operations = readBundle(bundle);
  for (const { first, bytes } of parts) assert.deepEqual(readBundle(bytes)[0], operations[first]);
});

test("a short bundle is one part", () => {
  const bundle = bundleOf(...files.slice(0, 200));
  assert.deepEqual(bundleParts(bundle, 4), [{ first: 0, bytes: new Uint8Array(bundle) }]);
});

test("a bundle of few files, one with other operations, and one that is damaged have no parts", () => {
  assert.deepEqual(bundleParts(bundleOf(...files.slice(0, 7), directoryOf("d"), directoryOf("e")), 4), []);
  assert.deepEqual(bundleParts(bundleOf(...files, removalOf("f1")), 4), []);
  assert.deepEqual(bundleParts(bundleOf(...files).subarray(1), 4), []);
  assert.deepEqual(bundleParts(bundleOf(...files).subarray(0, -1), 4), []);
  assert.deepEqual(bundleParts(new Uint8Array(0), 4), []);
});
