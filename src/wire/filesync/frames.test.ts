// Frames, requests and replies: what the one end packs the other reads, in whatever pieces it comes.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  content,
  failure,
  fileAttributes,
  fixed,
  hello,
  name,
  path,
  pathOrRoot,
  record,
  size,
  u32,
  welcome,
} from "../../../test/support/filesync-arbitraries.ts";
import { RopewalkError } from "../../base/errors.ts";
import { Prng } from "../../base/prng.ts";
import type { ScannedDirectory } from "../../ports/mod.ts";
import { FRAME_BYTES_MAX, FRAME_BYTES_MAX_BEFORE_HELLO, PATHS_MAX } from "./constants.ts";
import { type Frame, FrameReader } from "./frame-reader.ts";
import { NO_MAC } from "./hello.ts";
import { packError, packReply, type Reply, readReply } from "./reply.ts";
import { packRequest, type Request, readRequest } from "./request.ts";
import { assertInside, mutated, parsedOrRefused, refusedWith } from "./testing/hostile-bytes.ts";

const refused = { code: "PROTOCOL_ERROR" };
const of = <Type extends string>(type: Type) => fc.constant(type);
const half = fc.integer({ min: 0, max: 2 ** 52 - 1 });

const request: fc.Arbitrary<Request> = fc.oneof(
  record<Request>({ type: of("hello"), hello: hello.map((one) => ({ ...one, sourceHost: "host" })) }),
  fc.constantFrom("keepAlive" as const, "sync" as const, "free" as const).map((type) => ({ type })),
  record<Request>({ type: of("apply"), bundle: content(9000), isUnordered: fc.boolean() }),
  record<Request>({ type: of("begin"), path }),
  record<Request>({ type: of("write"), handle: u32, offset: half, bytes: content(9000) }),
  record<Request>({ type: of("keep"), handle: u32, offset: half, length: half }),
  record<Request>({ type: of("commit"), handle: u32, packed: content(100) }),
  record<Request>({ type: of("abort"), handle: u32 }),
  record<Request>({
    type: of("hashes"),
    path,
    request: record({
      offset: half,
      length: fc.integer({ min: 0, max: 512 * 65_536 }),
      blockBytes: fc.integer({ min: 512, max: 16 * 1024 * 1024 }),
      seed: size,
    }),
  }),
  record<Request>({
    type: of("scan"),
    paths: fc.array(pathOrRoot, { maxLength: 6 }),
    withListings: fc.boolean(),
    excludes: record({ patterns: fc.array(fc.constantFrom("^a/", "\\.o$", "\xe4[^/]*", "")) }),
  }),
  record<Request>({ type: of("stat"), paths: fc.array(pathOrRoot, { maxLength: 6 }) }),
);

const directory: fc.Arbitrary<ScannedDirectory> = record<ScannedDirectory>({
  path: pathOrRoot,
  attributes: fileAttributes,
  digest: fixed(16),
  entries: fc.integer({ min: 4, max: 2 ** 32 - 1 }),
  fileBytes: size,
  directories: fc.uniqueArray(name, { maxLength: 4 }).map((names) => names.toSorted(byCharacters)),
  listing: fc.option(content(6000), { nil: undefined }),
});

const reply: fc.Arbitrary<Reply> = fc.oneof(
  record<Reply>({ type: of("hello"), stage: of("challenge"), nonce: fixed(32) }),
  record<Reply>({ type: of("hello"), stage: of("welcome"), welcome }),
  fc
    .constantFrom("keepAlive" as const, "write" as const, "keep" as const, "sync" as const)
    .map((type) => ({ type })),
  record<Reply>({
    type: of("apply"),
    result: record({
      done: fc.integer({ min: 0, max: 65_536 }),
      failures: fc
        .array(fc.tuple(failure, fc.integer({ min: 0, max: 65_535 })), { maxLength: 4 })
        .map((failures) => failures.map(([one, operation]) => ({ ...one, operation })))
        .map((failures) => failures.toSorted((one, other) => one.operation - other.operation)),
    }),
  }),
  record<Reply>({ type: of("begin"), handle: u32 }),
  record<Reply>({ type: of("commit"), failure: fc.option(failure, { nil: undefined }) }),
  record<Reply>({
    type: of("hashes"),
    hashes: fc.integer({ min: 0, max: 600 }).map((count) => new Uint8Array(16 * count).fill(count)),
  }),
  record<Reply>({
    type: of("scan"),
    result: record({
      directories: fc.array(directory, { maxLength: 4 }),
      failures: fc.array(failure, { maxLength: 3 }),
    }),
  }),
  record<Reply>({
    type: of("stat"),
    attributes: fc.array(fc.option(fileAttributes, { nil: undefined }), { maxLength: 5 }),
  }),
  record<Reply>({ type: of("free"), freeBytes: size }),
);

function byCharacters(one: string, other: string): number {
  return one < other ? -1 : 1;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function framesOf(bytes: Uint8Array): Frame[] {
  return new FrameReader({ bytesMax: FRAME_BYTES_MAX }).push(bytes);
}

function onlyFrame(parts: readonly Uint8Array[]): Frame {
  const frames = framesOf(joined(parts));
  assert.equal(frames.length, 1);
  return frames[0]!;
}

/** A header by the document. */
function header(fields: {
  length?: number;
  type?: number;
  flags?: number;
  zero?: number;
  id?: number;
}): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(fields.length ?? 0, 0);
  bytes[4] = fields.type ?? 2;
  bytes[5] = fields.flags ?? 0;
  bytes.writeUInt16LE(fields.zero ?? 0, 6);
  bytes.writeUInt32LE(fields.id ?? 1, 8);
  return bytes;
}

test("a request is read as it was packed, with its id", () => {
  fc.assert(
    fc.property(request, u32, (request, id) => {
      const frame = onlyFrame(packRequest(id, request));
      assert.equal(frame.id, id);
      assert.deepEqual(readRequest(frame), request);
    }),
    { numRuns: 1000 },
  );
});

test("a reply is read as it was packed, with its id", () => {
  fc.assert(
    fc.property(reply, u32, (reply, id) => {
      const frame = onlyFrame(packReply(id, reply));
      assert.equal(frame.id, id);
      assert.deepEqual(readReply(frame, reply.type), reply);
    }),
    { numRuns: 1000 },
  );
});

test("the bytes of frames are those of the document", () => {
  const hex = (parts: Uint8Array[]) => Buffer.from(joined(parts)).toString("hex");
  const write: Request = { type: "write", handle: 7, offset: 2 ** 40, bytes: Uint8Array.of(0xaa) };
  assert.equal(
    hex(packRequest(258, write)),
    "0d000000 05 00 0000 02010000 07000000 0000000000010000 aa".replaceAll(" ", ""),
  );
  assert.equal(
    hex(
      packReply(1, {
        type: "apply",
        result: { done: 3, failures: [{ operation: 1, path: "a", errno: "EIO", doing: "x" }] },
      }),
    ),
    "15000000 80 00 0000 01000000 03000000 01000000 01000000 0100 61 03 45494f 01 78".replaceAll(" ", ""),
  );
  assert.equal(
    hex(packError(9, "TIMEOUT", "ä")),
    "0d000000 81 00 0000 09000000 0700 54494d454f5554 0200 c3a4".replaceAll(" ", ""),
  );
});

test("frames come out whole and in order, whatever pieces the bytes come in", () => {
  const some = fc.array(fc.tuple(request, u32), { minLength: 1, maxLength: 6 });
  const cuts = fc.infiniteStream(
    fc.oneof(fc.integer({ min: 1, max: 14 }), fc.integer({ min: 1, max: 30_000 })),
  );
  fc.assert(
    fc.property(some, cuts, (some, cuts) => {
      const bytes = joined(some.flatMap(([request, id]) => packRequest(id, request)));
      const reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX, takes: "requests" });
      const frames: Frame[] = [];
      for (let position = 0; position < bytes.length; ) {
        const piece = bytes.slice(position, position + cuts.next().value!);
        frames.push(...reader.push(piece));
        position += piece.length;
        // The reader keeps no view of what it was given.
        piece.fill(0xee);
      }
      assert.deepEqual(
        frames.map((frame) => [readRequest(frame), frame.id]),
        some,
      );
    }),
    { numRuns: 200 },
  );
});

test("a large payload can be read straight into its place", () => {
  const bundle = Uint8Array.from({ length: 100_000 }, (_, index) => index * 31);
  const bytes = joined(packRequest(5, { type: "apply", bundle }));
  const reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX });
  assert.equal(reader.target(), undefined);
  assert.deepEqual(reader.push(bytes.subarray(0, 1000)), []);
  const frames: Frame[] = [];
  let position = 1000;
  for (let target = reader.target(); target !== undefined; target = reader.target()) {
    const piece = bytes.subarray(position, position + Math.min(30_000, target.length));
    target.set(piece);
    position += piece.length;
    frames.push(...reader.filled(piece.length));
  }
  frames.push(...reader.push(bytes.subarray(position)));
  assert.equal(frames.length, 1);
  assert.deepEqual(readRequest(frames[0]!), { type: "apply", bundle, isUnordered: false });
});

test("content goes into a frame and out of it without a copy", () => {
  const bytes = new Uint8Array(100_000);
  const parts = packRequest(1, { type: "write", handle: 1, offset: 0, bytes });
  assert.equal(parts.at(-1), bytes);
  const frame = onlyFrame(parts);
  const read = readRequest(frame);
  assert.equal(read.type === "write" && read.bytes.buffer, frame.payload.buffer);
});

test("a reply that is longer than a frame comes in several, which are put together", () => {
  const listing = new Uint8Array(2 * FRAME_BYTES_MAX + 5).fill(7);
  const [sample] = fc.sample(directory, { numRuns: 1, seed: 1 });
  const reply: Reply = {
    type: "scan",
    result: {
      directories: [
        { ...sample!, listing },
        { ...sample!, listing },
      ],
      failures: [],
    },
  };
  const parts = packReply(3, reply);
  const reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX, takes: "replies" });
  const frames = [...parts, ...packReply(4, { type: "sync" })].flatMap((part) => reader.push(part));
  assert.deepEqual(
    frames.map(({ id }) => id),
    [3, 4],
  );
  assert.deepEqual(readReply(frames[0]!, "scan"), reply);
  const longest = { ...sample!, listing: new Uint8Array(FRAME_BYTES_MAX) };
  const tooMuch: Reply = { type: "scan", result: { directories: new Array(64).fill(longest), failures: [] } };
  assert.throws(() => packReply(1, tooMuch), { code: "TOO_LARGE" });
});

test("the frames of one reply stand one behind the other, bring bytes, and end", () => {
  const more = Buffer.concat([header({ length: 1, type: 128, flags: 1, id: 5 }), Buffer.of(1)]);
  const reader = () => new FrameReader({ bytesMax: 100 });
  assert.throws(() => reader().push(Buffer.concat([more, header({ type: 128, id: 6 })])), refused);
  assert.throws(() => reader().push(Buffer.concat([more, header({ type: 2, id: 5 })])), refused);
  assert.throws(() => reader().push(header({ type: 128, flags: 1, id: 5 })), refused);
  const last = Buffer.concat([header({ length: 1, type: 128, id: 5 }), Buffer.of(2)]);
  const most = reader().push(Buffer.concat([...new Array(63).fill(more), last]));
  assert.equal(most[0]?.payload.length, 64);
  assert.throws(() => reader().push(Buffer.concat([...new Array(64).fill(more), last])), refused);
});

test("a frame's header is held to its limits, and what follows a wrong one is never read", () => {
  const wrong: [sentence: string, Buffer][] = [
    ["a frame has 101 bytes of payload, more than 100", header({ length: 101, type: 3 })],
    ["a frame of type 0 may not come here", header({ type: 0 })],
    ["a frame of type 14 may not come here", header({ type: 14 })],
    ["a frame of type 2 has no flags 1", header({ flags: 1 })],
    ["a frame of type 129 has no flags 1", header({ type: 129, flags: 1 })],
    ["a frame of type 128 has no flags 2", header({ type: 128, flags: 2 })],
    ["a frame's header has a byte that must be zero and is not", header({ zero: 256 })],
  ];
  for (const [sentence, bytes] of wrong) {
    const reader = new FrameReader({ bytesMax: 100 });
    assert.throws(() => reader.push(bytes), refusedWith(sentence));
    assert.throws(() => reader.push(header({})), refusedWith(sentence));
    assert.equal(reader.target(), undefined);
  }
  const requests = new FrameReader({ bytesMax: 100, takes: "requests" });
  assert.throws(() => requests.push(header({ type: 128 })), refused);
  const replies = new FrameReader({ bytesMax: 100, takes: "replies" });
  assert.throws(() => replies.push(header({ type: 2 })), refused);
});

test("a connection may send little before HELLO is done and much then", () => {
  const bytes = joined(packRequest(1, { type: "apply", bundle: new Uint8Array(FRAME_BYTES_MAX - 1) }));
  const reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX_BEFORE_HELLO });
  reader.bytesMax = FRAME_BYTES_MAX;
  assert.equal(reader.push(bytes).length, 1);
  reader.bytesMax = FRAME_BYTES_MAX_BEFORE_HELLO;
  assert.throws(() => reader.push(bytes), refused);
  const tooLong: Request = { type: "apply", bundle: new Uint8Array(FRAME_BYTES_MAX) };
  assert.throws(() => packRequest(1, tooLong), { code: "TOO_LARGE" });
});

test("requests are held to their limits by the writer", () => {
  const invalid = { code: "INVALID_ARGUMENT" };
  const scan = { type: "scan", paths: [""], withListings: true, excludes: { patterns: [] } } as const;
  const wrong: Request[] = [
    { type: "begin", path: "" },
    { type: "begin", path: "../a" },
    { type: "hashes", path: "", request: { offset: 0, length: 1, blockBytes: 512, seed: 0 } },
    { type: "stat", paths: new Array(PATHS_MAX + 1).fill("a") },
    { type: "stat", paths: ["a/../b"] },
    { ...scan, paths: ["/"] },
    { ...scan, excludes: { patterns: ["("] } },
    { ...scan, excludes: { patterns: ["\u0100"] } },
    { ...scan, excludes: { patterns: ["a".repeat(1025)] } },
    { ...scan, excludes: { patterns: new Array(257).fill("a") } },
  ];
  for (const request of wrong)
    assert.throws(() => packRequest(1, request), invalid, JSON.stringify(request).slice(0, 99));
  const longest = `${"n".repeat(255)}/`.repeat(15) + "n".repeat(256 - 1);
  const patterns = new Array(256).fill("a".repeat(1024));
  const most: Request = { ...scan, paths: new Array(PATHS_MAX).fill(longest), excludes: { patterns } };
  assert.deepEqual(readRequest(onlyFrame(packRequest(1, most))), most);
});

test("requests are held to their limits by the reader", () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
  const most = "ffffffffffff1f00";
  const wrong: [sentence: string, type: number, payload: Buffer][] = [
    ["KEEPALIVE: 1 bytes too many", 2, hex("00")],
    ['BEGIN: "" is no path below the root', 4, hex("0000")],
    ['BEGIN: ".." is no path below the root', 4, hex("0200 2e2e")],
    ["WRITE: a range ends at 2^53 or later", 5, hex(`00000000 ${most} 00`)],
    ["WRITE: a number is 2^53 or more", 5, hex("00000000 0000000000002000")],
    ["KEEP: a range ends at 2^53 or later", 6, hex(`00000000 ${most} 0100000000000000`)],
    [
      "HASHES: blocks of 511 bytes, not 512 to 16777216",
      9,
      hex(`0100 61 0000000000000000 0000000000000000 ff010000 ${most}`),
    ],
    [
      "HASHES: blocks of 16777217 bytes, not 512 to 16777216",
      9,
      hex(`0100 61 0000000000000000 0000000000000000 01000001 ${most}`),
    ],
    ["HASHES: more than 65536 blocks", 9, hex(`0100 61 0000000000000000 0100000200000000 00020000 ${most}`)],
    ["SCAN: a flag is 2, not 0 or 1", 10, hex("02 00000000 00000000")],
    ["SCAN: 257 excludes, more than 256", 10, hex("00 01010000")],
    ["SCAN: an exclude is no regular expression", 10, hex("00 01000000 0100 28 00000000")],
    [
      "SCAN: a pattern of 1025 bytes, more than 1024",
      10,
      Buffer.concat([hex("00 01000000 0104"), Buffer.alloc(1025, "a"), hex("00000000")]),
    ],
    ["STAT: 1025 paths, more than 1024", 11, Buffer.concat([hex("01040000"), Buffer.alloc(2050)])],
    ["STAT: it ends 2 bytes before a field's end", 11, hex("02000000 0000")],
  ];
  for (const [sentence, type, payload] of wrong)
    assert.throws(
      () => readRequest({ type, id: 1, payload: new Uint8Array(payload) }),
      refusedWith(sentence),
    );
  for (const type of [0, 14, 128, 129])
    assert.throws(() => readRequest({ type, id: 1, payload: NO_MAC }), /no request/);
});

test("replies are held to their limits by the reader", () => {
  const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
  const wrong: [sentence: string, to: Request["type"], payload: Uint8Array][] = [
    ["the reply to WRITE: 1 bytes too many", "write", hex("00")],
    ["the reply to APPLY: 65537 operations, more than 65536", "apply", hex("01000100 00000000")],
    ["the reply to APPLY: 65537 failures, more than 65536", "apply", hex("00000000 01000100")],
    [
      "the reply to APPLY: failures are not in the order of their operations",
      "apply",
      hex("00000000 01000000 00000100 0000 03 45494f 00"),
    ],
    ["the reply to COMMIT: a failure has no errno", "commit", hex("01 0000 00 00")],
    ["the reply to COMMIT: a failure has no errno", "commit", hex("01 0000 03 65696f 00")],
    ["the reply to COMMIT: a failure does not say what was tried", "commit", hex("01 0000 03 45494f 01 1b")],
    ['the reply to COMMIT: "." is no path below the root', "commit", hex("01 0100 2e 03 45494f 00")],
    ["the reply to HASHES: 8 bytes are no hashes", "hashes", hex("0000000000000000")],
    ["the reply to HASHES: 1048592 bytes are no hashes", "hashes", new Uint8Array(65_537 * 16)],
    ["the reply to SCAN: 1025 directories, more than 1024", "scan", hex("01040000")],
    ["the reply to STAT: 1025 paths, more than 1024", "stat", hex("01040000")],
    ["the reply to HELLO: there is no answer to HELLO 2", "hello", hex("02")],
  ];
  for (const [sentence, to, payload] of wrong)
    assert.throws(() => readReply({ type: 128, id: 1, payload }, to), refusedWith(sentence));
  assert.throws(() => readReply({ type: 3, id: 1, payload: NO_MAC }, "sync"), /no reply/);

  const [sample] = fc.sample(directory, { numRuns: 1, seed: 1 });
  for (const directories of [["b", "a"], ["a", "a"], ["a", "b", "c", "d", "e"], ["."], ["a/b"]]) {
    const scan: Reply = {
      type: "scan",
      result: { directories: [{ ...sample!, entries: 4, directories }], failures: [] },
    };
    const frame = onlyFrame(packReply(1, scan));
    assert.throws(() => readReply(frame, "scan"), refused, directories.join());
  }
});

test("an error is read as one, without control characters, and an unknown code as INTERNAL", () => {
  const error = (code: string, sentence: string) =>
    readReply(onlyFrame(packError(1, code as "TIMEOUT", sentence)), "scan");
  const read = error("TARGET_IN_USE", "no:\n\u001b[31m\u009bred");
  assert.ok(read instanceof RopewalkError);
  assert.deepEqual([read.code, read.message], ["TARGET_IN_USE", "no:  [31m red"]);
  const later = error("LATER_CODE", "x".repeat(4095) + "ä");
  assert.ok(later instanceof RopewalkError);
  assert.deepEqual([later.code, later.message], ["INTERNAL", "x".repeat(4095)]);
  // A name of every object is no code.
  for (const code of ["constructor", "", "a b"]) assert.throws(() => error(code, "x"), refused, code);
  assert.equal((error("TOSTRING", "x") as RopewalkError).code, "INTERNAL");
});

test("a failure that the wire cannot say is said as far as it can", () => {
  const failure = { path: `a/${"n".repeat(256)}/b`, errno: "odd errno", doing: "open\nä" };
  assert.deepEqual(readReply(onlyFrame(packReply(1, { type: "commit", failure })), "commit"), {
    type: "commit",
    failure: { path: "a", errno: "EIO", doing: "open??" },
  });
  const failures = new Array(70_000).fill({ path: "a", errno: "EIO", doing: "", operation: 3 });
  const read = readReply(onlyFrame(packReply(1, { type: "apply", result: { done: 0, failures } })), "apply");
  assert.ok(!(read instanceof RopewalkError) && read.result.failures.length === 65_536);
});

test("a payload that ends anywhere before its end is refused", () => {
  // What ends in bytes of any length cannot know.
  const open: readonly string[] = ["apply", "write", "commit", "hashes"];
  for (const one of fc.sample(request, { numRuns: 100, seed: 4 })) {
    const frame = onlyFrame(packRequest(1, one));
    if (open.includes(one.type)) continue;
    for (let length = 0; length < frame.payload.length; length++)
      assert.throws(
        () => readRequest({ ...frame, payload: frame.payload.slice(0, length) }),
        refused,
        one.type,
      );
  }
  for (const one of fc.sample(reply, { numRuns: 60, seed: 4 })) {
    const frame = onlyFrame(packReply(1, one));
    if (one.type === "hashes") continue;
    for (let length = 0; length < Math.min(3000, frame.payload.length); length++)
      assert.throws(
        () => readReply({ ...frame, payload: frame.payload.slice(0, length) }, one.type),
        refused,
        one.type,
      );
  }
});

test("no bytes make the readers of requests and replies fail otherwise than by refusing, nor name a path outside the root", () => {
  const prng = new Prng(23);
  const requests = fc.sample(request, { numRuns: 300, seed: 6 }).map((one) => onlyFrame(packRequest(1, one)));
  const replies = fc
    .sample(reply, { numRuns: 300, seed: 6 })
    .map((one) => [onlyFrame(packReply(1, one)), one.type] as const);
  let read = 0;
  for (let run = 0; run < 100_000; run++) {
    const frame = requests[run % requests.length]!;
    const one = parsedOrRefused(
      () => readRequest({ ...frame, payload: mutated(frame.payload, prng) }),
      "PEER_VERSION",
    );
    if (one !== undefined && "path" in one) assertInside(one.path);
    if (one !== undefined && "paths" in one) for (const path of one.paths) assertInside(path);
    const [answer, to] = replies[run % replies.length]!;
    const other = parsedOrRefused(
      () => readReply({ ...answer, payload: mutated(answer.payload, prng) }, to),
      "PEER_VERSION",
    );
    if (other !== undefined && !(other instanceof RopewalkError) && other.type === "scan")
      for (const { path, directories } of other.result.directories)
        for (const one of [path, ...directories]) assertInside(one);
    if (one !== undefined) read++;
  }
  assert.ok(read > 5_000 && read < 95_000, `${read} of 100,000 requests were read`);
});

test("no bytes make the reader of frames fail otherwise than by refusing, and it keeps no more than a frame", () => {
  const prng = new Prng(24);
  const streams = fc
    .sample(fc.array(request, { minLength: 1, maxLength: 3 }), { numRuns: 100, seed: 6 })
    .map((some) => joined(some.flatMap((one) => packRequest(1, one))));
  let whole = 0;
  for (let run = 0; run < 100_000; run++) {
    const bytes = mutated(streams[run % streams.length]!, prng);
    const reader = new FrameReader({ bytesMax: 20_000 });
    const frames = parsedOrRefused(() => reader.push(bytes));
    assert.ok((reader.target()?.length ?? 0) <= 20_000);
    for (const { payload } of frames ?? []) assert.ok(payload.length <= bytes.length);
    whole += frames?.length ?? 0;
  }
  assert.ok(whole > 50_000, `${whole} frames`);
});
