// What a client reads and writes, against bytes drawn from the protocol's tables and against the server's side.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RopewalkError } from "../../base/errors.ts";
import {
  encodeGoData,
  encodeMetaContextData,
  encodeOption,
  parseExportInfo,
  parseGreeting,
  parseMetaContext,
  parseOptionReplyHeader,
} from "./client-handshake.ts";
import { parseOptionData } from "./option-parser.ts";
import {
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeMetaContext,
} from "./option-replies.ts";
import { encodeBlockStatus, encodeErrorChunk } from "./reply-encoder.ts";
import { parseBlockStatus, parseErrorChunk, parseReplyHeader, replyHeaderBytes } from "./reply-parser.ts";
import { encodePlainRequest } from "./request-encoder.ts";
import { decodePlainRequest, RequestHeader } from "./request-parser.ts";
import { parseNbdUri } from "./uri.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const code = "PROTOCOL_ERROR";

test("the server's side reads what the client's side writes", () => {
  const request = new RequestHeader();
  const bytes = encodePlainRequest({
    flags: 1,
    type: 1,
    cookie: 0xfedcba98,
    offsetBytes: 2 ** 41 + 512,
    lengthBytes: 2 ** 32 - 1,
  });
  decodePlainRequest(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, request);
  assert.deepEqual(
    [
      request.flags,
      request.type,
      request.cookieHigh,
      request.cookieLow >>> 0,
      request.offset,
      request.length,
    ],
    [1, 1, 0, 0xfedcba98, 2 ** 41 + 512, 2 ** 32 - 1],
  );
  assert.deepEqual(parseOptionData(7, encodeGoData("ä", [3])), { kind: "go", name: "ä", requests: [3] });
  assert.deepEqual(parseOptionData(10, encodeMetaContextData("d", ["base:allocation"])), {
    kind: "setMetaContext",
    name: "d",
    queries: ["base:allocation"],
  });
  assert.equal(encodeOption(7, hex("0102")).toString("hex"), "49484156454f505400000007000000020102");
});

test("the client's side reads what the server's side writes", () => {
  assert.deepEqual(parseGreeting(encodeGreeting()), { noZeroes: true });
  const reply = encodeInfoExport(7, { sizeBytes: 2 ** 40, transmissionFlags: 0x1ded });
  assert.deepEqual(parseOptionReplyHeader(reply.subarray(0, 20), 7), { option: 7, type: 3, lengthBytes: 12 });
  assert.deepEqual(parseExportInfo(reply.subarray(20)), {
    kind: "export",
    sizeBytes: 2 ** 40,
    transmissionFlags: 0x1ded,
  });
  const sizes = { minimumBytes: 512, preferredBytes: 4096, maximumPayloadBytes: 2 ** 25 };
  assert.deepEqual(parseExportInfo(encodeInfoBlockSize(7, sizes).subarray(20)), {
    kind: "blockSize",
    ...sizes,
  });
  assert.deepEqual(parseMetaContext(encodeMetaContext(10, 3, "x:y").subarray(20)), { id: 3, name: "x:y" });
  const address = { cookieHigh: 0, cookieLow: 7, offsetHigh: 0, offsetLow: 0 };
  const status = encodeBlockStatus(address, "structured", {
    contextId: 1,
    extents: [{ lengthBytes: 4096, flags: 3 }],
    flags: 1,
  });
  assert.deepEqual(parseReplyHeader(status.subarray(0, 20)), {
    kind: "chunk",
    cookie: 7,
    type: 5,
    isLast: true,
    lengthBytes: 12,
  });
  assert.deepEqual(parseBlockStatus(status.subarray(20)), {
    contextId: 1,
    extents: [{ lengthBytes: 4096, flags: 3 }],
  });
  const error = encodeErrorChunk(address, "structured", 28, "full");
  assert.deepEqual(parseErrorChunk(error.subarray(20)), { errno: 28, sentence: "full" });
});

test("what no server may send is PROTOCOL_ERROR", () => {
  assert.throws(() => parseGreeting(hex("4e42444d41474943 00420281861253 000000")), { code });
  assert.throws(() => parseGreeting(hex("4e42444d41474943 49484156454f5054 0002")), { code });
  assert.throws(() => parseOptionReplyHeader(hex("0003e889045565a9 00000007 00000003 00010001"), 7), {
    code,
  });
  assert.throws(() => parseOptionReplyHeader(hex("0003e889045565a9 00000006 00000003 00000001"), 7), {
    code,
  });
  assert.throws(() => parseExportInfo(hex("0000 ffffffffffffffff 0001")), { code });
  assert.throws(() => parseExportInfo(hex("0003 00000003 00001000 02000000")), { code });
  assert.throws(() => replyHeaderBytes(0x25609513), { code });
  assert.throws(() => parseReplyHeader(hex("67446698 00000000 00000001 00000001")), { code });
  for (const chunk of [
    "0000 00000001",
    "0001 00000008",
    "0002 0000000d",
    "0005 00000004",
    "8001 00000005",
    "0007 00000004",
  ])
    assert.throws(
      () => parseReplyHeader(hex(`668e33ef 0001 ${chunk.slice(0, 4)} 0000000000000001 ${chunk.slice(5)}`)),
      { code },
      chunk,
    );
  assert.throws(() => parseErrorChunk(hex("00000005 0009 61")), { code });
  assert.throws(() => parseErrorChunk(hex("00000000 0000")), { code });
  assert.throws(() => parseBlockStatus(hex("00000000 00000000 00000000")), { code });
});

test("whatever the bytes, parsing ends with a value or PROTOCOL_ERROR", () => {
  const survives = (parse: () => unknown) => {
    try {
      parse();
    } catch (error) {
      assert.ok(error instanceof RopewalkError && error.code === code, String(error));
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 64 }), (bytes) => {
      survives(() => parseGreeting(bytes.subarray(0, 18)));
      survives(() => parseOptionReplyHeader(bytes.subarray(0, 20), 7));
      survives(() => parseExportInfo(bytes));
      survives(() => parseExportInfo(bytes.subarray(0, bytes[0]! % 20)));
      survives(() => parseMetaContext(bytes.subarray(0, bytes[1]! % 8)));
      survives(() => parseReplyHeader(bytes.subarray(0, 20)));
      survives(() => parseErrorChunk(bytes));
      survives(() => parseBlockStatus(bytes.subarray(0, 12)));
    }),
  );
});

test("URIs with TCP and Unix addresses are read; everything else is refused", () => {
  assert.deepEqual(parseNbdUri("nbd://localhost"), {
    address: { kind: "tcp", host: "localhost", port: 10_809 },
    exportName: "",
  });
  assert.deepEqual(parseNbdUri("nbd://[::1]:99/a%20b/c"), {
    address: { kind: "tcp", host: "::1", port: 99 },
    exportName: "a b/c",
  });
  assert.deepEqual(parseNbdUri("nbd+unix:///d?socket=/run/x%20y"), {
    address: { kind: "unix", path: "/run/x y" },
    exportName: "d",
  });
  for (const text of [
    "",
    "nbds://h/",
    "nbd:///x",
    "nbd://h/?socket=/x",
    "nbd://u@h/",
    "nbd://h/#f",
    "nbd://h:99999/",
    "nbd://h/%zz",
    "nbd://h/%00",
    "nbd+unix:///x",
    "nbd+unix:///x?socket=y",
    "nbd+unix:///x?socket=/y&socket=/z",
    "nbd+unix://h/x?socket=/y",
    "nbd+unix:///x?tls=1",
  ])
    assert.throws(() => parseNbdUri(text), { code: "INVALID_CONFIG" }, text);
});
