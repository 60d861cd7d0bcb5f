import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RopewalkError } from "../base/errors.ts";
import { parseDestination } from "./filesync-destination.ts";

test("a target is a path, a daemon's root or a directory over ssh, and has one way to be written", () => {
  const address = { host: "node.example", port: 7431 };
  for (const [text, expected] of [
    ["/srv//a/./b/../copy/", { kind: "local", to: "/srv/a/copy", path: "/srv/a/copy" }],
    [
      "ropewalk://node.example/in",
      { kind: "ropewalk", to: "ropewalk://node.example:7431/in", address, name: "in" },
    ],
    [
      "ROPEWALK://[::1]:5/in/",
      { kind: "ropewalk", to: "ropewalk://[::1]:5/in", address: { host: "::1", port: 5 }, name: "in" },
    ],
    [
      "ssh://me@host/srv/my%20copy",
      {
        kind: "ssh",
        to: "ssh://me@host/srv/my%20copy",
        user: "me",
        host: "host",
        port: undefined,
        path: "/srv/my copy",
      },
    ],
    [
      "ssh://[2001:db8::1]:2222/srv",
      {
        kind: "ssh",
        to: "ssh://[2001:db8::1]:2222/srv",
        user: undefined,
        host: "2001:db8::1",
        port: 2222,
        path: "/srv",
      },
    ],
  ] as const)
    assert.deepEqual(parseDestination(text), expected, text);
});

test("what is no target is refused with a sentence that says how to write it", () => {
  for (const [text, code] of [
    ["copy", "INVALID_ARGUMENT"],
    ["/a\0b", "INVALID_ARGUMENT"],
    ["s3://bucket/prefix", "INVALID_ARGUMENT"],
    ["ropewalk://host:1", "INVALID_ARGUMENT"],
    ["ropewalk://host:1/a/b", "INVALID_ARGUMENT"],
    ["ropewalk://host:0/a", "INVALID_ARGUMENT"],
    ["ropewalk://host:99999/a", "INVALID_ARGUMENT"],
    ["ropewalk://host:1/A", "INVALID_NAME"],
    ["ssh://host", "INVALID_ARGUMENT"],
    ["ssh://-oProxyCommand=x/srv", "INVALID_ARGUMENT"],
    ["ssh://-l@host/srv", "INVALID_ARGUMENT"],
    ["ssh://host:0/srv", "INVALID_ARGUMENT"],
    ["ssh://host/a%zz", "INVALID_ARGUMENT"],
    ["ssh://host/a%00b", "INVALID_ARGUMENT"],
  ] as const)
    assert.throws(
      () => parseDestination(text),
      (error: RopewalkError) => error.code === code && error.message.length > 20,
      text,
    );
});

test("what was parsed reads back as itself", () => {
  const part = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
    .filter((text) => !/[/\0]/.test(text));
  fc.assert(
    fc.property(part, fc.constantFrom("/", "ssh://me@host/", "ssh://host:22/"), (name, before) => {
      const path = before === "/" ? name : encodeURIComponent(name);
      const once = parseDestination(before + path);
      assert.deepEqual(parseDestination(once.to), once);
    }),
  );
});
