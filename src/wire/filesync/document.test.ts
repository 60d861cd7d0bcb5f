// The byte tables of docs/formats/filesync-protocol.md, read against what the code writes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { byteTable, readFields, tableBytes } from "../../../test/support/byte-table.ts";
import type { FileAttributes } from "../../ports/mod.ts";
import { NO_MAC } from "./hello.ts";
import { ListingWriter } from "./listing.ts";
import { packOperation } from "./operation.ts";
import { packReply } from "./reply.ts";
import { packRequest } from "./request.ts";

const DOCUMENT = "filesync-protocol.md";
const FRAME_HEADER = tableBytes(byteTable(DOCUMENT, "Frame"));

const attributes: FileAttributes = {
  kind: "block",
  mode: 0o7654,
  userId: 1001,
  groupId: 1002,
  sizeBytes: 0,
  modifiedSeconds: 2 ** 33 + 1,
  modifiedNanoseconds: 999_999_999,
  changedSeconds: 2 ** 34 + 1,
  changedNanoseconds: 123_456_789,
  links: 3,
  inode: 2 ** 40 + 7,
  device: 2049,
  deviceNode: 8 * 2 ** 32 + 1,
  extendedHash: 0xfedc_ba98,
};
const { kind: _, ...compared } = attributes;

function documented(heading: string, bytes: Uint8Array): Record<string, number> {
  return readFields(byteTable(DOCUMENT, heading), bytes);
}

test("a frame's header is what the document says", () => {
  const parts = packRequest(77, { type: "begin", path: "abc" });
  assert.deepEqual(documented("Frame", Buffer.concat(parts)), { length: 5, type: 4, flags: 0, id: 77 });
});

test("HELLO and the welcome are what the document says", () => {
  const hello = packRequest(1, {
    type: "hello",
    hello: {
      version: 2,
      role: "sync",
      connection: 2,
      connections: 5,
      target: "t",
      synchronization: Uint8Array.of(1),
      nonce: Uint8Array.of(2),
      modes: ["attributes", "incremental"],
      deletes: "trash",
      sourceHost: "h",
      sourceDirectory: "/d",
      mac: Uint8Array.of(3),
    },
  });
  const bytes = Buffer.concat(hello).subarray(FRAME_HEADER);
  assert.deepEqual(documented("HELLO", bytes), {
    magic: Buffer.from("RWFS").readUInt32LE(),
    version: 2,
    role: 1,
    connection: 2,
    connections: 5,
    modes: 6,
    deletes: 2,
    synchronization: 1,
    nonce: 2,
    mac: 3,
  });
  const texts = bytes.subarray(tableBytes(byteTable(DOCUMENT, "HELLO")));
  assert.equal(texts.toString("latin1"), "\x01\0t\x01\0h\x02\0/d");

  const abilities = {
    extendedAttributes: true,
    accessControlLists: false,
    deviceNodes: true,
    ownership: false,
    foldsCase: true,
    modeBits: 0o222,
    timeStepNanoseconds: 1e7,
    nameBytesMax: 143,
    freeBytes: 2 ** 45,
  };
  const welcome = packReply(1, {
    type: "hello",
    stage: "welcome",
    welcome: { version: 2, abilities, mac: NO_MAC },
  });
  assert.deepEqual(documented("Welcome", Buffer.concat(welcome).subarray(FRAME_HEADER + 1)), {
    version: 2,
    mac: 0,
    extendedAttributes: 1,
    accessControlLists: 0,
    deviceNodes: 1,
    ownership: 0,
    foldsCase: 1,
    modeBits: 0o222,
    timeStepNanoseconds: 1e7,
    nameBytesMax: 143,
    freeBytes: 2 ** 45,
  });
});

test("the header of an operation and the attributes behind its path are what the document says", () => {
  const bytes = packOperation({ op: "special", path: "dev", attributes, extended: new Uint8Array(0) });
  const header = documented("Bundles", bytes);
  assert.deepEqual(header, { length: bytes.length - 4, operation: 4, flags: 0, pathLength: 3 });
  const behindPath = bytes.subarray(tableBytes(byteTable(DOCUMENT, "Bundles")) + 3);
  const read = documented("Attributes", behindPath);
  assert.deepEqual({ ...compared, ...read }, { ...compared, kind: 7 });
});

test("a listing's head, its compared and its own parts are what the document says", () => {
  const writer = new ListingWriter();
  writer.add({ name: "dev", attributes, linkHash: 0 });
  const { listing } = writer.finish();
  const head = documented("Listings", listing);
  const attributesBytes = tableBytes(byteTable(DOCUMENT, "Attributes"));
  assert.deepEqual(head, { count: 1, comparedBytes: attributesBytes + 4 + 4 + 1 + 1 + 3 });
  const behindHead = listing.subarray(tableBytes(byteTable(DOCUMENT, "Listings")));
  const own = documented("Own attributes", behindHead.subarray(head["comparedBytes"]!));
  assert.deepEqual(
    { ...compared, ...documented("Attributes", behindHead), ...own },
    { ...compared, kind: 7 },
  );
  assert.deepEqual(Object.keys(own).sort(), [
    "changedNanoseconds",
    "changedSeconds",
    "device",
    "inode",
    "links",
  ]);
});
