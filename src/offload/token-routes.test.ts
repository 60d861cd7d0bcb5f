import assert from "node:assert/strict";
import { test } from "node:test";
import { routesTo } from "./mod.ts";

const TEMPLATES = ["http://h/{volume}", "http://h/{volume}/snapshots/{snapshot}", "nbd://h/{source}"];

test("T13: a volume, a snapshot and a stack have routes by their names, a member of a stack and what is gone none", () => {
  const routes = (provider: string, source: string) => routesTo(TEMPLATES, { provider, source });
  assert.deepEqual(routes("pool", "disk"), ["http://h/disk", "nbd://h/disk"]);
  assert.deepEqual(routes("pool", "disk@monday"), ["http://h/disk/snapshots/monday", "nbd://h/disk@monday"]);
  assert.deepEqual(routes("mirror", "mirror"), ["http://h/mirror", "nbd://h/mirror"]);
  assert.deepEqual(routes("mirror/left", "left of mirror"), []);
  assert.deepEqual(routes("", ""), []);
});
