import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, isLoopbackHost, parseAddress } from "./address.ts";

test("addresses are read and written back", () => {
  for (const text of [
    "127.0.0.1:7430",
    "[::1]:0",
    "localhost:65535",
    "0.0.0.0:1",
    "[::]:80",
    "my-host.example:9",
  ])
    assert.equal(formatAddress(parseAddress(text)), text);
});

test("what is no HOST:PORT is INVALID_CONFIG", () => {
  for (const text of [
    "",
    "7430",
    ":7430",
    "host",
    "host:",
    "host:65536",
    "host:-1",
    "::1:80",
    "[::1]",
    "a b:1",
    "http://a:1",
  ])
    assert.throws(() => parseAddress(text), { code: "INVALID_CONFIG" }, text);
});

test("only addresses of this machine are loopback", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost"]) assert.ok(isLoopbackHost(host), host);
  for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "128.0.0.1", "example"])
    assert.ok(!isLoopbackHost(host), host);
});
