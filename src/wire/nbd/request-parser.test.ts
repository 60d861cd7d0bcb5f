// Request headers, plain and extended, against bytes written out from the protocol's tables.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeExtendedRequest,
  decodePlainRequest,
  parseBlockStatusFilter,
  RequestHeader,
  requestPayloadBytes,
} from "./request-parser.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function plain(text: string): RequestHeader {
  const header = new RequestHeader();
  decodePlainRequest(viewOf(hex(text)), 0, header);
  return header;
}

function extended(text: string): RequestHeader {
  const header = new RequestHeader();
  decodeExtendedRequest(viewOf(hex(text)), 0, header);
  return header;
}

test("a plain write with FUA", () => {
  const header = plain("25609513 0001 0001 8899aabbccddeeff 0000000200001000 00020000");
  assert.deepEqual(
    { ...header },
    {
      flags: 1,
      type: 1,
      cookieHigh: 0x8899aabb | 0,
      cookieLow: 0xccddeeff | 0,
      offsetHigh: 2,
      offsetLow: 0x1000,
      offset: 2 * 2 ** 32 + 0x1000,
      length: 0x20000,
    },
  );
  assert.equal(requestPayloadBytes(header, "plain"), 0x20000);
});

test("an extended zeroing of more than 4 GiB", () => {
  const header = extended("21e41c71 0002 0006 0000000000000001 0000000000000200 0000000340000000");
  assert.equal(header.length, 13 * 2 ** 30);
  assert.equal(header.offset, 512);
  assert.equal(requestPayloadBytes(header, "extended"), 0);
});

test("an extended request has a payload when its flag says so, a write always", () => {
  assert.equal(
    requestPayloadBytes(
      extended("21e41c71 0020 0007 0000000000000001 0000000000000000 000000000000000c"),
      "extended",
    ),
    12,
  );
  assert.equal(
    requestPayloadBytes(
      extended("21e41c71 0000 0001 0000000000000001 0000000000000000 0000000000000200"),
      "extended",
    ),
    512,
  );
  assert.equal(
    requestPayloadBytes(plain("25609513 0020 0007 0000000000000001 0000000000000000 0000000c"), "plain"),
    0,
  );
});

test("offsets and lengths of 64 bits stay beyond every device and echo exactly", () => {
  const header = extended("21e41c71 0000 0000 0000000000000001 ffffffffffffffff ffffffffffffffff");
  assert.equal(header.offset + header.length > Number.MAX_SAFE_INTEGER, true);
  assert.deepEqual([header.offsetHigh, header.offsetLow], [-1, -1]);
});

test("the magic of the other format, or of a reply, is refused", () => {
  assert.throws(() => plain("21e41c71 0000 0000 0000000000000001 0000000000000000 00000000"), {
    code: "PROTOCOL_ERROR",
  });
  assert.throws(() => extended("25609513 0000 0000 0000000000000001 0000000000000000 0000000000000000"), {
    code: "PROTOCOL_ERROR",
  });
  assert.throws(() => plain("67446698 0000 0000 0000000000000001 0000000000000000 00000000"), {
    code: "PROTOCOL_ERROR",
  });
});

test("a block status filter is a length and distinct ids", () => {
  assert.deepEqual(parseBlockStatusFilter(hex("0000000100000000 00000000 00000007")), {
    lengthBytes: 2 ** 32,
    contextIds: [0, 7],
  });
  assert.deepEqual(parseBlockStatusFilter(hex("0000000000000200")), { lengthBytes: 512, contextIds: [] });
  for (const wrong of ["", "00000000000002", "0000000000000200 00", "0000000000000200 00000001 00000001"])
    assert.equal(parseBlockStatusFilter(hex(wrong)), undefined);
  assert.equal(parseBlockStatusFilter(Buffer.alloc(8 + 4 * 65)), undefined);
});
