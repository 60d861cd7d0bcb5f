import assert from "node:assert/strict";
import { test } from "node:test";
import { checkName, checkVolumeSize, formatMapName, parseMapName } from "./object-name.ts";

const illegalNames = [
  "",
  ".",
  "..",
  "@",
  "a@b",
  "A",
  "-a",
  ".a",
  "_a",
  "a b",
  "a/b",
  "a\n",
  "a\0",
  "ä",
  "a".repeat(64),
  "a".repeat(300),
];

test("names of 1 to 63 legal characters are taken as they are", () => {
  for (const name of ["a", "0", "vol0", "a..b", "a._-", "a".repeat(63)])
    assert.equal(checkName("volume", name), name);
});

test("every illegal name is INVALID_NAME, in one printable line", () => {
  for (const name of illegalNames)
    assert.throws(
      () => checkName("volume", name),
      (error: Error & { code: string }) =>
        error.code === "INVALID_NAME" && /^[^\0-\x1f]{1,300}$/.test(error.message),
      JSON.stringify(name),
    );
});

test("volume sizes are positive multiples of 512 up to 2^52", () => {
  for (const size of [512, 1024, 2 ** 52]) assert.equal(checkVolumeSize(size), size);
  for (const size of [0, -512, 1, 511, 513, 512.5, 2 ** 52 + 512, 2 ** 63, Number.NaN, Infinity])
    assert.throws(() => checkVolumeSize(size), { code: "INVALID_SIZE" }, String(size));
});

test("VOLUME and VOLUME@SNAPSHOT are read and written back", () => {
  assert.deepEqual(parseMapName("v"), { volume: "v" });
  assert.deepEqual(parseMapName("v@s"), { volume: "v", snapshot: "s" });
  for (const text of ["v", "v@s"]) assert.equal(formatMapName(parseMapName(text)), text);
  for (const text of ["", "@", "v@", "@s", "v@s@t"])
    assert.throws(() => parseMapName(text), { code: "INVALID_NAME" }, text);
});
