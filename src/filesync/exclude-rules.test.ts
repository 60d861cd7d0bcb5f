import assert from "node:assert/strict";
import { test } from "node:test";
import { packRequest } from "../wire/filesync/mod.ts";
import { compileExcludes, excludeTest } from "./exclude-rules.ts";

function passedOver(patterns: string[], paths: string[]): string[] {
  return paths.filter(excludeTest(compileExcludes(patterns)));
}

test("a pattern without a slash passes over names at any depth, with all below", () => {
  const paths = ["a.tmp", "x/a.tmp", "x/a.tmp/y", "a.tmpx", "xa.tmp"];
  assert.deepEqual(passedOver(["*.tmp"], paths), ["a.tmp", "x/a.tmp", "x/a.tmp/y", "xa.tmp"]);
  assert.deepEqual(passedOver(["cache"], ["cache", "a/cache/b", "cached", "my-cache"]), [
    "cache",
    "a/cache/b",
  ]);
});

test("a pattern with a slash is a path from the root on, and only ** goes over slashes", () => {
  const paths = ["a/b", "x/a/b", "a/c/b", "a/b/c", "a/bb"];
  assert.deepEqual(passedOver(["/a/b"], paths), ["a/b", "a/b/c"]);
  assert.deepEqual(passedOver(["a/*/b"], paths), ["a/c/b"]);
  assert.deepEqual(passedOver(["a/**/b"], paths), ["a/b", "a/c/b", "a/b/c"]);
  assert.deepEqual(passedOver(["**/b"], paths), ["a/b", "x/a/b", "a/c/b", "a/b/c"]);
});

test("characters of regular expressions stand for themselves, and names are compared as bytes", () => {
  assert.deepEqual(passedOver(["a+(b).[c]"], ["a+(b).[c]", "aab.c"]), ["a+(b).[c]"]);
  const name = Buffer.from("größe").toString("latin1");
  assert.deepEqual(passedOver(["größe"], [name, "größe"]), [name]);
  assert.deepEqual(passedOver(["gr??e"], [name]), []);
});

test("patterns that say nothing, or too much, are refused", () => {
  for (const pattern of ["", "/", "a\0b", "x".repeat(2000)])
    assert.throws(() => compileExcludes([pattern]), { code: "INVALID_ARGUMENT" });
  assert.throws(() => compileExcludes(new Array(257).fill("a")), { code: "INVALID_ARGUMENT" });
});

test("whatever patterns are taken can be sent with a scan of a target", () => {
  for (const pattern of ["x".repeat(512), "?".repeat(200), "**/".repeat(80)]) {
    const excludes = compileExcludes(new Array(256).fill(pattern));
    packRequest(1, { type: "scan", paths: [""], withListings: false, excludes });
  }
  assert.throws(() => compileExcludes(["?".repeat(512)]), { code: "INVALID_ARGUMENT" });
});
