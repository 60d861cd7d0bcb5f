// Handshake bytes as recorded from clients and as the protocol's tables draw them.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseClientFlags, parseOptionData, parseOptionHeader } from "./option-parser.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

test("the client's flags are read, and unknown ones refused", () => {
  assert.deepEqual(parseClientFlags(viewOf(hex("00000003")), 0), { fixedNewstyle: true, noZeroes: true });
  assert.deepEqual(parseClientFlags(viewOf(hex("00000001")), 0), { fixedNewstyle: true, noZeroes: false });
  assert.throws(() => parseClientFlags(viewOf(hex("00000004")), 0), { code: "PROTOCOL_ERROR" });
  assert.throws(() => parseClientFlags(viewOf(hex("ffffffff")), 0), { code: "PROTOCOL_ERROR" });
});

test("an option's header needs all its bytes and the right magic", () => {
  const header = hex("49484156454f5054 00000007 0000000b");
  assert.deepEqual(parseOptionHeader(viewOf(header), 0, 16), { option: 7, lengthBytes: 11 });
  assert.equal(parseOptionHeader(viewOf(header), 0, 15), undefined);
  header[3] = 0;
  assert.throws(() => parseOptionHeader(viewOf(header), 0, 16), { code: "PROTOCOL_ERROR" });
});

test("GO as libnbd 1.14 sends it: name, and three requests", () => {
  const data = hex("00000001 64 0003 0001 0002 0003");
  assert.deepEqual(parseOptionData(7, data), { kind: "go", name: "d", requests: [1, 2, 3] });
});

test("INFO with repeated requests keeps each once", () => {
  assert.deepEqual(parseOptionData(6, hex("00000000 0003 0003 0000 0003")), {
    kind: "info",
    name: "",
    requests: [3, 0],
  });
});

test("SET_META_CONTEXT as qemu 7.2 sends it", () => {
  const query = Buffer.from("base:allocation");
  const data = Buffer.concat([hex("00000001 64 00000001 0000000f"), query]);
  assert.deepEqual(parseOptionData(10, data), {
    kind: "setMetaContext",
    name: "d",
    queries: ["base:allocation"],
  });
});

test("data that does not fit its option is malformed, never an exception", () => {
  for (const [option, data] of [
    [3, "00"],
    [5, "00"],
    [8, "00"],
    [11, "00"],
    [7, ""],
    [7, "00000001"],
    [7, "00000000 0001"],
    [7, "ffffffff 61"],
    [10, "00000000 ffffffff"],
    [10, "00000000 00000001 00000002 61"],
    [9, "00000000 00000000 00"],
    [1, "ff"],
    [1, "00"],
  ] as const)
    assert.equal(parseOptionData(option, hex(data)).kind, "malformed", `option ${option}: ${data}`);
});

test("whatever the data, parsing an option ends with a value", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 200 }), (option, data) => {
      assert.equal(typeof parseOptionData(option, data).kind, "string");
    }),
  );
});
