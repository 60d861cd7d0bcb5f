// Replies of both phases against bytes written out from the protocol's tables.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeExportNameReply,
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoText,
  encodeMetaContext,
  encodeOptionError,
  encodeOptionReply,
  encodeServerReply,
} from "./option-replies.ts";
import {
  encodeBlockStatus,
  encodeChunkHeader,
  encodeErrorChunk,
  encodeOffsetHole,
  encodeSimpleReply,
} from "./reply-encoder.ts";

const spaced = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const plain = (text: string) => text.replaceAll(" ", "");
const address = {
  cookieHigh: 0x01020304,
  cookieLow: 0x8a8b8c8d | 0,
  offsetHigh: 1,
  offsetLow: 0x80000000 | 0,
};

function written(length: number, write: (view: DataView) => void): string {
  const bytes = Buffer.alloc(length);
  write(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return spaced(bytes);
}

test("the greeting", () => {
  assert.equal(spaced(encodeGreeting()), plain("4e42444d41474943 49484156454f5054 0003"));
});

test("answers to options", () => {
  assert.equal(spaced(encodeOptionReply(8, 1)), plain("0003e889045565a9 00000008 00000001 00000000"));
  assert.equal(
    spaced(encodeOptionError(99, 0x80000001, "no")),
    plain("0003e889045565a9 00000063 80000001 00000002 6e6f"),
  );
  assert.equal(
    spaced(encodeServerReply(3, "d", "x")),
    plain("0003e889045565a9 00000003 00000002 00000006 00000001 64 78"),
  );
  assert.equal(
    spaced(encodeInfoExport(7, { sizeBytes: 2 ** 40 + 512, transmissionFlags: 0x1ded })),
    plain("0003e889045565a9 00000007 00000003 0000000c 0000 0000010000000200 1ded"),
  );
  assert.equal(
    spaced(encodeInfoBlockSize(7, { minimumBytes: 1, preferredBytes: 4096, maximumPayloadBytes: 2 ** 25 })),
    plain("0003e889045565a9 00000007 00000003 0000000e 0003 00000001 00001000 02000000"),
  );
  assert.equal(
    spaced(encodeInfoText(6, 1, "d")),
    plain("0003e889045565a9 00000006 00000003 00000003 0001 64"),
  );
  assert.equal(
    spaced(encodeMetaContext(10, 3, "x:y")),
    plain("0003e889045565a9 0000000a 00000004 00000007 00000003 783a79"),
  );
});

test("the answer to EXPORT_NAME is 10 bytes, or 134 with padding", () => {
  const facts = { sizeBytes: 4096, transmissionFlags: 0x6d };
  assert.equal(spaced(encodeExportNameReply(facts, "no-zeroes")), plain("0000000000001000 006d"));
  assert.equal(encodeExportNameReply(facts, "zeroes").length, 134);
});

test("long texts are cut between characters, at 4096 bytes", () => {
  const reply = encodeInfoText(6, 2, "ä".repeat(3000));
  assert.equal(reply.subarray(22).toString(), "ä".repeat(2048));
  const shifted = encodeInfoText(6, 2, `x${"ä".repeat(3000)}`);
  assert.equal(shifted.subarray(22).toString(), `x${"ä".repeat(2047)}`);
});

test("a simple reply", () => {
  assert.equal(
    written(16, (view) => encodeSimpleReply(view, 0, address, 28)),
    plain("67446698 0000001c 01020304 8a8b8c8d"),
  );
});

test("a structured and an extended chunk header; the extended one echoes the offset", () => {
  assert.equal(
    written(20, (view) => encodeChunkHeader(view, 0, address, "structured", 1, 1, 4104)),
    plain("668e33ef 0001 0001 01020304 8a8b8c8d 00001008"),
  );
  assert.equal(
    written(32, (view) => encodeChunkHeader(view, 0, address, "extended", 0, 1, 0)),
    plain("6e8a278c 0001 0000 01020304 8a8b8c8d 00000001 80000000 0000000000000000"),
  );
});

test("the content of a hole", () => {
  assert.equal(
    written(12, (view) => encodeOffsetHole(view, 0, 5 * 2 ** 32 + 1, 0x1000)),
    plain("00000005 00000001 00001000"),
  );
});

test("an error chunk carries its sentence", () => {
  assert.equal(
    spaced(encodeErrorChunk(address, "structured", 5, "bad")),
    plain("668e33ef 0001 8001 01020304 8a8b8c8d 00000009 00000005 0003 626164"),
  );
});

test("block status in 32 and in 64 bits", () => {
  const extents = [
    { lengthBytes: 4096, flags: 3 },
    { lengthBytes: 512, flags: 0 },
  ];
  assert.equal(
    spaced(encodeBlockStatus(address, "structured", { contextId: 7, extents, flags: 1 })),
    plain("668e33ef 0001 0005 01020304 8a8b8c8d 00000014 00000007 00001000 00000003 00000200 00000000"),
  );
  const wide = [{ lengthBytes: 5 * 2 ** 32, flags: 2 }];
  assert.equal(
    spaced(encodeBlockStatus(address, "extended", { contextId: 7, extents: wide, flags: 0 })),
    plain(
      `6e8a278c 0000 0006 01020304 8a8b8c8d 00000001 80000000 0000000000000018
      00000007 00000001 0000000500000000 0000000000000002`.replace(/\s/g, " "),
    ),
  );
});
