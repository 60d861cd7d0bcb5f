// Bundles: what is written is read, what no writer writes is refused, and hostile bytes lead nowhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fileOperation, operation } from "../../../test/support/filesync-arbitraries.ts";
import { Prng } from "../../base/prng.ts";
import type { WireAttributes } from "./attributes.ts";
import { readBundle, readOperation } from "./bundle-reader.ts";
import { BundleWriter } from "./bundle-writer.ts";
import { EXTENTS_MAX } from "./constants.ts";
import { packExtended } from "./extended-attributes.ts";
import { EXTENT_BYTES, type Operation, packOperation } from "./operation.ts";
import { assertInside, mutated, parsedOrRefused, refusedWith } from "./testing/hostile-bytes.ts";

const NONE = new Uint8Array(0);
const refused = { code: "PROTOCOL_ERROR" };
const file = (sizeBytes: number): WireAttributes => ({
  kind: "file",
  mode: 0o644,
  userId: 1000,
  groupId: 1000,
  sizeBytes,
  modifiedSeconds: 1_700_000_000,
  modifiedNanoseconds: 5,
  deviceNode: 0,
});

/** The bytes of a `file` operation with one extent, and where its fields stand: the path is "f". */
const FILE = packOperation({
  op: "file",
  path: "f",
  attributes: file(10),
  extended: NONE,
  extents: [{ offset: 2, bytes: Uint8Array.of(1, 2, 3) }],
});
const AT = { op: 4, flags: 5, pathLength: 6, path: 8, attributes: 9, extended: 49, content: 53, extents: 60 };

/** FILE with a number of `size` bytes put at `at`. */
function fileWith(at: number, size: 1 | 2 | 4 | 6, value: number): Uint8Array {
  const bytes = Buffer.from(FILE);
  bytes.writeUIntLE(value, at, size);
  return new Uint8Array(bytes);
}

function everyPath(operation: Operation): string[] {
  if (operation.op === "rename") return [operation.from, operation.to];
  return operation.op === "link" ? [operation.path, operation.existing] : [operation.path];
}

test("a bundle gives back the operations that were added, in their order", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 8 }), (operations) => {
      const writer = new BundleWriter(1024 * 1024);
      for (const one of operations) assert.ok(writer.add(one));
      assert.equal(writer.operations, operations.length);
      const length = writer.length;
      const bundle = writer.take();
      assert.equal(bundle.length, length);
      assert.deepEqual(readBundle(bundle), operations);
      assert.equal(writer.length + writer.operations, 0);
    }),
    { numRuns: 1000 },
  );
});

test("an operation packed alone is one of a bundle, and two are not one", () => {
  fc.assert(
    fc.property(operation, (one) => {
      const packed = packOperation(one);
      assert.deepEqual(readOperation(packed), one);
      assert.deepEqual(readBundle(packed), [one]);
      assert.throws(() => readOperation(Buffer.concat([packed, packed])), refused);
    }),
  );
});

test("the bytes of operations are those of the document", () => {
  const attributes =
    "01 00 a401 e8030000 e8030000 05000000 00f1536500000000 0a00000000000000 0000000000000000";
  const extended = packExtended([{ name: "user.a", value: Uint8Array.of(7) }]);
  const all: [Operation, string][] = [
    [
      {
        op: "file",
        path: "f",
        attributes: file(10),
        extended,
        extents: [
          { offset: 2, bytes: Uint8Array.of(1, 2, 3) },
          { offset: 9, bytes: Uint8Array.of(4) },
        ],
      },
      `63000000 02 00 0100 66 ${attributes} 0e000000 0100 06 01000000 757365722e61 07 04000000 01020304
       02000000 0200000000000000 03000000 0900000000000000 01000000`,
    ],
    [
      {
        op: "symlink",
        path: "l",
        attributes: { ...file(10), kind: "symlink" },
        extended: NONE,
        target: "to",
      },
      `35000000 03 00 0100 6c 03${attributes.slice(2)} 00000000 0200 746f`,
    ],
    [{ op: "link", path: "a", existing: "bc" }, "09000000 05 00 0100 61 0200 6263"],
    [{ op: "rename", from: "a", to: "bc" }, "09000000 06 00 0100 61 0200 6263"],
    [{ op: "remove", path: "a", recursive: true }, "05000000 07 01 0100 61"],
    [{ op: "truncate", path: "a", sizeBytes: 258 }, "0d000000 09 00 0100 61 0201000000000000"],
    [
      { op: "writeRange", path: "a", offset: 1, bytes: Uint8Array.of(9) },
      "12000000 0a 00 0100 61 0100000000000000 01000000 09",
    ],
    [
      { op: "attributes", path: "", attributes: { ...file(10), kind: "directory" }, extended: NONE },
      `30000000 08 00 0000 02${attributes.slice(2)} 00000000`,
    ],
  ];
  for (const [one, hex] of all)
    assert.equal(Buffer.from(packOperation(one)).toString("hex"), hex.replaceAll(/\s/g, ""), one.op);
});

test("a file read into the bundle's memory is the same bytes as one that was added", () => {
  fc.assert(
    fc.property(fileOperation, (one) => {
      const content = Buffer.concat(one.extents.map(({ bytes }) => bytes));
      const writer = new BundleWriter(100_000);
      // The size was another when the file was opened.
      const memory = writer.beginFile(one.path, file(7), one.extended, content.length + 100)!;
      assert.equal(memory.length, content.length + 100);
      memory.set(content);
      writer.endFile(
        one.attributes,
        one.extents.map(({ offset, bytes }) => ({ offset, length: bytes.length })),
      );
      assert.deepEqual(writer.take(), new Uint8Array(packOperation(one)));
    }),
  );
});

test("a file that was cut while it was read keeps what lies inside its size", () => {
  const writer = new BundleWriter(1000);
  writer.beginFile("f", file(30), NONE, 30)!.set(Uint8Array.from({ length: 30 }, (_, index) => index));
  writer.endFile(file(14), [
    { offset: 0, length: 10 },
    { offset: 12, length: 10 },
    { offset: 25, length: 5 },
  ]);
  assert.ok(writer.add({ op: "remove", path: "g", recursive: false }));
  const [cut, next] = readBundle(writer.take());
  assert.deepEqual(cut, {
    op: "file",
    path: "f",
    attributes: file(14),
    extended: NONE,
    extents: [
      { offset: 0, bytes: Uint8Array.from({ length: 10 }, (_, index) => index) },
      { offset: 12, bytes: Uint8Array.of(10, 11) },
    ],
  });
  assert.deepEqual(next, { op: "remove", path: "g", recursive: false });
});

test("a cancelled file leaves nothing behind, and what does not fit changes nothing", () => {
  const writer = new BundleWriter(200);
  const remove: Operation = { op: "remove", path: "a", recursive: true };
  assert.ok(writer.add(remove));
  const length = writer.length;
  writer.beginFile("f", file(10), NONE, 10)!.fill(9);
  assert.equal(writer.length, length);
  writer.cancelFile();
  assert.equal(writer.beginFile("f", file(200), NONE, 200), undefined);
  assert.equal(writer.add({ op: "writeRange", path: "f", offset: 0, bytes: new Uint8Array(190) }), false);
  assert.equal(writer.length, length);
  assert.deepEqual(readBundle(writer.take()), [remove]);
});

test("a file with as many extents as are allowed fits behind any content that began", () => {
  const writer = new BundleWriter(EXTENTS_MAX + 100);
  const extents = Array.from({ length: EXTENTS_MAX }, (_, index) => ({ offset: 2 * index, length: 1 }));
  assert.ok(writer.beginFile("f", file(2 * EXTENTS_MAX), NONE, EXTENTS_MAX));
  writer.endFile(file(2 * EXTENTS_MAX), extents);
  const [read] = readBundle(writer.take());
  assert.equal(read?.op === "file" && read.extents.length, EXTENTS_MAX);
});

test("paths that cannot go over the wire are refused by the writer and change nothing", () => {
  const names = [
    "",
    ".",
    "..",
    "/a",
    "a/",
    "a//b",
    "a/./b",
    "a/../b",
    "..",
    "../a",
    "a/..",
    "a\0b",
    "ab\u0100",
  ];
  const wrong = [...names, "n".repeat(256), `a/${"n".repeat(256)}/b`, `${"n/".repeat(2048)}n`];
  const writer = new BundleWriter(100_000);
  for (const path of wrong) {
    const invalid = { code: "INVALID_ARGUMENT" };
    assert.throws(() => writer.add({ op: "remove", path, recursive: false }), invalid, path);
    assert.throws(() => writer.add({ op: "rename", from: "a", to: path }), invalid, path);
    assert.throws(() => writer.add({ op: "link", path: "a", existing: path }), invalid, path);
    assert.throws(() => writer.beginFile(path, file(1), NONE, 1), invalid, path);
  }
  assert.equal(writer.take().length, 0);
  for (const path of ["...", "..a", "a/...", "a..", "\xff", "a b\n", `${"n".repeat(255)}/${"n".repeat(255)}`])
    assert.deepEqual(readOperation(packOperation({ op: "rename", from: path, to: path })), {
      op: "rename",
      from: path,
      to: path,
    });
});

test("targets of symbolic links that no kernel takes are refused by the writer", () => {
  const link = (target: string): Operation => ({
    op: "symlink",
    path: "l",
    attributes: { ...file(1), kind: "symlink" },
    extended: NONE,
    target,
  });
  for (const target of ["", "a\0", "\u0100", "t".repeat(4096)])
    assert.throws(() => packOperation(link(target)), { code: "INVALID_ARGUMENT" });
  for (const target of ["/", "..", "\xff", "t".repeat(4095)])
    assert.deepEqual(readOperation(packOperation(link(target))), link(target));
});

test("paths that leave the root are refused by the reader", () => {
  const good = packOperation({ op: "remove", path: "aaaaaa", recursive: false });
  for (const path of [
    "/aaaaa",
    "aaaaa/",
    "aa//aa",
    "../aaa",
    "aaa/..",
    "a/../a",
    "a/./aa",
    "./aaaa",
    "aaa\0aa",
  ]) {
    const bytes = Buffer.from(good);
    bytes.write(path, 8, "latin1");
    assert.throws(() => readBundle(bytes), refused, path);
  }
  for (const op of [2, 3, 4, 5, 6, 7, 9, 10]) {
    // The root is made and has attributes; nothing else can be done to it.
    const bytes = Buffer.alloc(100);
    bytes.writeUInt32LE(96, 0);
    bytes[4] = op;
    assert.throws(() => readBundle(bytes), /no path below the root/, `operation ${op}`);
  }
});

test("every field of an operation is held to its limits", () => {
  const wrong: [sentence: string, Uint8Array][] = [
    ["there is no operation 11", fileWith(AT.op, 1, 11)],
    ["there is no operation 0", fileWith(AT.op, 1, 0)],
    ["file has no flags 1", fileWith(AT.flags, 1, 1)],
    ["the length of file is not that of its fields", fileWith(0, 4, FILE.length - 5)],
    ["an operation is longer than the bytes that are there", fileWith(0, 4, FILE.length)],
    ["it ends 65467 bytes before a field's end", fileWith(AT.pathLength, 2, 0xffff)],
    ["there is no kind of file 8", fileWith(AT.attributes, 1, 8)],
    ["file has attributes of a directory", fileWith(AT.attributes, 1, 2)],
    ["a byte that must be zero is not", fileWith(AT.attributes + 1, 1, 1)],
    ["a mode is 010000, more than 07777", fileWith(AT.attributes + 2, 2, 0o10000)],
    ["1000000000 nanoseconds are a second or more", fileWith(AT.attributes + 12, 4, 1_000_000_000)],
    ["a number is 2^53 or more", fileWith(AT.attributes + 20, 4, 0x20_0000)],
    ["a number is 2^53 or more", fileWith(AT.attributes + 28, 4, 0x20_0000)],
    ["a file has a device's number", fileWith(AT.attributes + 32, 1, 1)],
    ["1048577 bytes of extended attributes, more than 1048576", fileWith(AT.extended, 4, 1024 * 1024 + 1)],
    ["extents have fewer bytes than the content", fileWith(AT.extents + 4 + 8, 4, 2)],
    ["extents have more bytes than the content", fileWith(AT.extents + 4 + 8, 4, 4)],
    ["4097 extents, more than 4096", fileWith(AT.extents, 4, EXTENTS_MAX + 1)],
    ["extents of a file are empty or not in order", fileWith(AT.extents + 4 + 8, 4, 0)],
    ["an extent ends behind its file's end", fileWith(AT.extents + 4, 6, 8)],
    ["an extent ends behind its file's end", fileWith(AT.attributes + 24, 1, 4)],
  ];
  assert.equal(readBundle(FILE).length, 1);
  for (const [sentence, bytes] of wrong) assert.throws(() => readBundle(bytes), refusedWith(sentence));

  const overlapping = packOperation({
    op: "file",
    path: "f",
    attributes: file(10),
    extended: NONE,
    extents: [
      { offset: 0, bytes: Uint8Array.of(1, 2, 3) },
      { offset: 3, bytes: Uint8Array.of(4, 5, 6) },
    ],
  });
  assert.equal(readBundle(overlapping).length, 1);
  overlapping[overlapping.length - EXTENT_BYTES] = 2;
  assert.throws(() => readBundle(overlapping), refused, "overlapping extents");

  const link = packOperation({
    op: "symlink",
    path: "l",
    attributes: { ...file(1), kind: "symlink" },
    extended: NONE,
    target: "t",
  });
  link[link.length - 1] = 0;
  assert.throws(() => readBundle(link), refused, "NUL in a symbolic link");
  const range = Buffer.from(
    packOperation({ op: "writeRange", path: "f", offset: 2 ** 53 - 2, bytes: Uint8Array.of(1) }),
  );
  assert.equal(readBundle(range).length, 1);
  range[9] = 0xff;
  assert.throws(() => readBundle(range), refused, "a range up to 2^53");
});
test("a bundle of more operations than are allowed is neither written nor read", () => {
  const writer = new BundleWriter(4 * 1024 * 1024);
  const remove: Operation = { op: "remove", path: "a", recursive: false };
  while (writer.add(remove));
  const bundle = writer.take();
  assert.equal(readBundle(bundle).length, 65_536);
  assert.throws(
    () => readBundle(Buffer.concat([bundle, packOperation(remove)])),
    /more than 65536 operations/,
  );
  assert.throws(() => readBundle(new Uint8Array(8 * 1024 * 1024 + 1)), /more than a frame has/);
});

test("a size or time that no double holds is cut to what one holds and stays readable", () => {
  const attributes = { ...file(2 ** 63), modifiedSeconds: -(2 ** 60) };
  const read = readOperation(packOperation({ op: "attributes", path: "f", attributes, extended: NONE }));
  assert.deepEqual(read, {
    op: "attributes",
    path: "f",
    attributes: { ...attributes, sizeBytes: 2 ** 53 - 1, modifiedSeconds: -(2 ** 53 - 1) },
    extended: NONE,
  });
});

test("a bundle that ends anywhere but behind an operation is refused", () => {
  const [operations] = fc.sample(fc.array(operation, { minLength: 12, maxLength: 12 }), {
    numRuns: 1,
    seed: 7,
  });
  const writer = new BundleWriter(1024 * 1024);
  const ends = new Set([0]);
  for (const one of operations!) {
    assert.ok(writer.add(one));
    ends.add(writer.length);
  }
  const bundle = writer.take();
  for (let length = 0; length <= bundle.length; length++) {
    const read = parsedOrRefused(() => readBundle(bundle.subarray(0, length)));
    assert.equal(read !== undefined, ends.has(length), `${length} bytes`);
  }
});

test("no bytes make the reader of bundles fail otherwise than by refusing, nor name a path outside the root", () => {
  const prng = new Prng(21);
  const samples = fc.sample(fc.array(operation, { minLength: 1, maxLength: 4 }), { numRuns: 200, seed: 3 });
  const bundles = samples.map((operations) => Buffer.concat(operations.map(packOperation)));
  let read = 0;
  for (let run = 0; run < 100_000; run++) {
    const bytes = mutated(bundles[run % bundles.length]!, prng);
    const operations = parsedOrRefused(() => readBundle(bytes));
    if (operations === undefined) continue;
    read++;
    for (const one of operations) {
      for (const path of everyPath(one)) assertInside(path);
      // What was taken is what a writer could have written, of these very bytes.
      if (one.op === "file")
        for (const { bytes: content } of one.extents) assert.equal(content.buffer, bytes.buffer);
    }
    assert.deepEqual(Buffer.concat(operations.map(packOperation)), Buffer.from(bytes));
  }
  assert.ok(read > 5_000 && read < 95_000, `${read} of 100,000 were read`);
});
