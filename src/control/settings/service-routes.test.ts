import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfigFile } from "./config-file.ts";
import { resolveSettings } from "./settings.ts";

const routesOf = (text: string) =>
  resolveSettings([parseConfigFile({ path: "ropewalk.yaml", text })]).tokens.routes;

test("routes are the addresses that the settings know: no port that is picked, none that stands for all", () => {
  assert.deepEqual(routesOf("data: /srv/data"), [
    "http://127.0.0.1:7430/api/v1/volumes/{volume}",
    "http://127.0.0.1:7430/api/v1/volumes/{volume}/snapshots/{snapshot}",
    "nbd://127.0.0.1:10809/{source}",
    "nbd+unix:///{source}?socket=/srv/data/nbd.sock",
    "iscsi://127.0.0.1:3260/iqn.2026-11.io.ropewalk:{volume}/0",
  ]);
  const given = `
data: /srv/a b?
insecure: true
http: {address: "0.0.0.0:7430"}
nbd: {addresses: ["[::]:10809", "[2001:db8::1]:10809", "127.0.0.1:0"]}
iscsi: {addresses: ["storage.example:3260,2"]}
`;
  assert.deepEqual(routesOf(given), [
    "nbd://[2001:db8::1]:10809/{source}",
    "nbd+unix:///{source}?socket=/srv/a%20b%3F/nbd.sock",
    "iscsi://storage.example:3260/iqn.2026-11.io.ropewalk:{volume}/0",
  ]);
});

test("a socket of a path that no socket can have is no route", () => {
  const given = `{data: /srv/${"x".repeat(100)}, http: {address: "127.0.0.1:0"}, nbd: {addresses: []}, iscsi: {addresses: []}}`;
  assert.deepEqual(routesOf(given), []);
});
