import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { decodeTokenFile, encodeTokenFile, TOKEN_FILE_BYTES_MAX, TOKENS_IN_FILE_MAX } from "./token-file.ts";

const token = (value: number) => new Uint8Array(512).fill(value);
const pieces = fc.array(
  fc.record({
    token: fc.uint8Array({ minLength: 512, maxLength: 512 }),
    dataOffsetBytes: fc.integer({ min: 1, max: 2 ** 52 }),
    lengthBytes: fc.integer({ min: 1, max: 2 ** 51 }),
    role: fc.constantFrom("primary" as const, "companion" as const),
  }),
  { minLength: 1, maxLength: 8 },
);

test("what was written is read back, token by token in its order", () => {
  fc.assert(
    fc.property(pieces, (written) => {
      const read = decodeTokenFile(encodeTokenFile(written));
      assert.deepEqual(
        read.map((piece) => ({ ...piece, token: new Uint8Array(piece.token) })),
        written.map((piece) => ({ ...piece })),
      );
    }),
    { numRuns: 50 },
  );
});

test("a single token is 512 bytes, and 512 bytes are a token that says its length itself", () => {
  const file = encodeTokenFile([{ token: token(3), dataOffsetBytes: 0, lengthBytes: 4096, role: "primary" }]);
  assert.deepEqual(file, token(3));
  assert.deepEqual(decodeTokenFile(file), [
    { token: token(3), dataOffsetBytes: 0, lengthBytes: undefined, role: "primary" },
  ]);
});

test("any changed byte and any other length of a token file is refused", () => {
  const file = encodeTokenFile([
    { token: token(1), dataOffsetBytes: 0, lengthBytes: 512, role: "primary" },
    { token: token(2), dataOffsetBytes: 512, lengthBytes: 512, role: "primary" },
  ]);
  for (let at = 0; at < file.length; at++) {
    const changed = Uint8Array.from(file);
    changed[at]! ^= 0x40;
    assert.throws(() => decodeTokenFile(changed), { code: "INVALID_ARGUMENT" }, `byte ${at}`);
  }
  for (const length of [0, 1, 15, 16, 511, 513, file.length - 1])
    assert.throws(() => decodeTokenFile(file.subarray(0, length)), { code: "INVALID_ARGUMENT" });
  assert.throws(() => decodeTokenFile(new Uint8Array(TOKEN_FILE_BYTES_MAX + 1)), { code: "TOO_LARGE" });
});

test("docs/formats/token-file.md draws what is written", () => {
  const file = Buffer.from(
    encodeTokenFile([
      { token: token(1), dataOffsetBytes: 0, lengthBytes: 512, role: "primary" },
      { token: token(2), dataOffsetBytes: 0x0102030405, lengthBytes: 77, role: "companion" },
    ]),
  );
  const document = readFileSync(new URL("../../docs/formats/token-file.md", import.meta.url), "utf8");
  const fields = new Map(
    [...document.matchAll(/^\| (\d+) \| (\d+) \| `(\w+)` \|/gm)].map(([, at, size, name]) => [
      name!,
      { at: Number(at), size: Number(size) },
    ]),
  );
  const { at: entriesAt } = fields.get("entries")!;
  const { size: entryBytes } = fields.get("entry")!;
  const number = (name: string, base = 0) => {
    const { at, size } = fields.get(name)!;
    return size === 8 ? Number(file.readBigUInt64LE(base + at)) : file.readUIntLE(base + at, size);
  };
  assert.equal(file.toString("latin1", 0, fields.get("magic")!.size), "RWTOKENS");
  assert.deepEqual([number("version"), number("count")], [1, 2]);
  assert.equal(file.length, entriesAt + 2 * entryBytes);
  const second = entriesAt + entryBytes;
  assert.deepEqual(
    ["role", "dataOffset", "length"].map((name) => number(name, second)),
    [2, 0x0102030405, 77],
  );
  assert.equal(file[second + fields.get("token")!.at], 2);
  assert.match(document, new RegExp(`\\b${TOKENS_IN_FILE_MAX}\\b`));
});
