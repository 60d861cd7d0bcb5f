import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import {
  bytesAt,
  copyByTokens,
  pattern,
  readRequest,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import type { BlockDevice } from "../block-device.ts";
import { MemoryDevice } from "../memory-device.ts";
import type { DeviceOffload, JoinedParts, TokenJoiner } from "../offload.ts";
import { JOINED_PIECES_MAX } from "./split-offload.ts";

const CHUNK_BYTES = 4096;

testBlockDevice("span", {
  runs: 30,
  open: async (sizeBytes) => {
    const sizes = [5 * 4096, 512, sizeBytes - 5 * 4096 - 512];
    return (
      await makeLayer(
        "span",
        sizes.map((size) => new MemoryDevice({ sizeBytes: size })),
      )
    ).device;
  },
});

testBlockDevice("stripe", {
  runs: 30,
  sizeBytes: 3 * 15 * CHUNK_BYTES,
  open: async (sizeBytes) => {
    const members = [0, 1, 2].map(() => new MemoryDevice({ sizeBytes: sizeBytes / 3 + 512 }));
    return (await makeLayer("stripe", members, { chunkBytes: CHUNK_BYTES })).device;
  },
});

async function tokenStripe(shelf: TokenShelf, bytesMax?: number): Promise<BlockDevice> {
  const members = ["a", "b"].map((name) =>
    tokenMemoryDevice(shelf, { sizeBytes: 1 << 20, name, ...(bytesMax === undefined ? {} : { bytesMax }) }),
  );
  return (await makeLayer("stripe", members, { chunkBytes: CHUNK_BYTES })).device;
}

test("a stripe deals its chunks out in turn", async () => {
  const members = [0, 1].map(() => new MemoryDevice({ sizeBytes: 4 * CHUNK_BYTES }));
  const { device } = await makeLayer("stripe", members, { chunkBytes: CHUNK_BYTES });
  for (let chunk = 0; chunk < 8; chunk++)
    await device.write(chunk * CHUNK_BYTES, Buffer.alloc(CHUNK_BYTES, chunk + 1), 0);
  for (const [index, member] of members.entries())
    for (let chunk = 0; chunk < 4; chunk++)
      assert.equal((await bytesAt(member, chunk * CHUNK_BYTES, 1))[0], 2 * chunk + index + 1);
});

test("a hole as wide as the stripe is told without a look at each chunk", async () => {
  const members = [0, 1, 2].map(() => new MemoryDevice({ sizeBytes: 2 ** 44 }));
  for (const member of members)
    member.extents = (offset, length) => [{ offsetBytes: offset, lengthBytes: length, kind: "hole" }];
  const { device } = await makeLayer("stripe", members, { chunkBytes: 512 });
  assert.deepEqual(await device.extents(512, device.sizeBytes - 512, 10), [
    { offsetBytes: 512, lengthBytes: device.sizeBytes - 512, kind: "hole" },
  ]);
});

test("members that do not fit a stripe are refused", async () => {
  const make = (sizes: number[], parameters: object = {}, minimumBlockBytes = 1) =>
    makeLayer(
      "stripe",
      sizes.map((sizeBytes) => new MemoryDevice({ sizeBytes, geometry: { minimumBlockBytes } })),
      { ...parameters },
    );
  const code = "INVALID_CONFIG";
  await assert.rejects(make([4096, 8192], { chunkBytes: 4096 }), { code, message: /members of one size/ });
  await assert.rejects(make([4096], {}), { code, message: /members smaller than a chunk/ });
  await assert.rejects(make([1 << 20], { chunkBytes: 6000 }, 4096), {
    code,
    message: /not whole blocks of 4096/,
  });
});

test("a token read over a border gives a token for each run on one member", async () => {
  const shelf = new TokenShelf();
  const device = await tokenStripe(shelf);
  await device.write(0, pattern(3 * CHUNK_BYTES, 1), 0);
  const { tokens, lengthBytes } = await device.offload!.read(readRequest(2048, 2 * CHUNK_BYTES));
  assert.equal(lengthBytes, 2 * CHUNK_BYTES);
  assert.deepEqual(
    tokens.map((token) => [token.dataOffsetBytes, token.lengthBytes]),
    [
      [0, 2048],
      [2048, 4096],
      [6144, 2048],
    ],
  );
  assert.deepEqual(
    tokens.map(({ token }) => Buffer.from(shelf.find([token]))),
    [
      pattern(3 * CHUNK_BYTES, 1).subarray(2048, 4096),
      pattern(3 * CHUNK_BYTES, 1).subarray(4096, 8192),
      pattern(3 * CHUNK_BYTES, 1).subarray(8192, 10_240),
    ],
  );
});

test("one token is written over borders, each member from its place in the token on", async () => {
  const shelf = new TokenShelf();
  const device = await tokenStripe(shelf);
  const token = shelf.keep(pattern(5 * CHUNK_BYTES, 4));
  const result = await device.offload!.write(writeRequest([token], 1024, 5 * CHUNK_BYTES));
  assert.deepEqual(result, { lengthBytes: 5 * CHUNK_BYTES, movedBytes: 5 * CHUNK_BYTES });
  assert.deepEqual(await bytesAt(device, 1024, 5 * CHUNK_BYTES), pattern(5 * CHUNK_BYTES, 4));
});

test("more runs than one operation takes are a shorter effective length, and the requestor goes on", async () => {
  const shelf = new TokenShelf();
  const device = await tokenStripe(shelf);
  const lengthBytes = 100 * CHUNK_BYTES;
  await device.write(0, pattern(lengthBytes, 2), 0);
  const read = await device.offload!.read(readRequest(0, lengthBytes));
  assert.equal(read.lengthBytes, 64 * CHUNK_BYTES);
  await copyByTokens(device, device, { from: 0, to: 111 * CHUNK_BYTES + 512, lengthBytes });
  assert.deepEqual(await bytesAt(device, 111 * CHUNK_BYTES + 512, lengthBytes), pattern(lengthBytes, 2));
});

test("a member that does less than asked shortens the whole to what is without a gap", async () => {
  const shelf = new TokenShelf();
  const device = await tokenStripe(shelf, 1024);
  await device.write(0, pattern(8192, 2), 0);
  const read = await device.offload!.read(readRequest(0, 8192));
  assert.deepEqual([read.lengthBytes, read.tokens.length], [1024, 1]);
  const token = shelf.keep(pattern(8192, 5));
  const written = await device.offload!.write(writeRequest([token], 0, 8192));
  assert.equal(written.lengthBytes, 1024);
  assert.deepEqual(await bytesAt(device, 1024, 1024), pattern(8192, 2).subarray(1024, 2048));
});

test("a token that the second member does not take is a shorter length; for the first it is its error", async () => {
  const shelf = new TokenShelf();
  const other = new TokenShelf();
  const members = [shelf, other].map((each) => tokenMemoryDevice(each, { sizeBytes: 8192 }));
  const { device } = await makeLayer("span", members);
  const token = shelf.keep(pattern(8192, 5));
  assert.deepEqual(await device.offload!.write(writeRequest([token], 4096, 8192)), {
    lengthBytes: 4096,
    movedBytes: 4096,
  });
  await assert.rejects(device.offload!.write(writeRequest([token], 8192, 4096)), { code: "TOKEN_UNKNOWN" });
});

test("a span without tokens on one member has none", async () => {
  const members = [
    tokenMemoryDevice(new TokenShelf(), { sizeBytes: 4096 }),
    new MemoryDevice({ sizeBytes: 4096 }),
  ];
  assert.equal((await makeLayer("span", members)).device.offload, undefined);
});

/** A member that notes of each token write whether more was announced. */
function partsMember(parts: boolean[]): BlockDevice {
  const memory = new MemoryDevice({ sizeBytes: 1 << 20 });
  const offload: DeviceOffload = {
    providers: ["parts"],
    read: () => Promise.reject(new Error("nothing is read")),
    write: async ({ ranges, isPart = false }) => {
      const asked = ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      parts.push(isPart);
      return { lengthBytes: asked, movedBytes: 0 };
    },
  };
  return Object.defineProperty(memory, "offload", { value: offload });
}

test("all runs of a token write but its last announce that more follows, so that a token of one use lasts", async () => {
  for (const [chunks, last] of [
    [3, false],
    // Cut after the runs that one operation takes: the requestor goes on with the same token.
    [100, true],
  ] as const) {
    const parts: boolean[] = [];
    const members = [0, 1].map(() => partsMember(parts));
    const { device } = await makeLayer("stripe", members, { chunkBytes: CHUNK_BYTES });
    const request = writeRequest([new Uint8Array(512)], 0, chunks * CHUNK_BYTES);
    await device.offload!.write(request);
    assert.equal(parts.length, Math.min(chunks, 64));
    assert.deepEqual(
      parts,
      parts.map((_, index) => index < parts.length - 1 || last),
    );
    parts.length = 0;
    await device.offload!.write({ ...request, isPart: true });
    assert.ok(parts.every((isPart) => isPart));
  }
});

/** Joins nothing: notes what it is given. */
function recordingJoiner(shelf: TokenShelf) {
  const joins: JoinedParts[] = [];
  const discarded: Uint8Array[] = [];
  const joiner: TokenJoiner = {
    join: async (parts) => {
      joins.push(parts);
      const lengthBytes = parts.pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0);
      const token = shelf.keep(new Uint8Array());
      return { tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }], lengthBytes };
    },
    discard: (tokens) => void discarded.push(...tokens),
  };
  return { joiner, joins, discarded };
}

test("T5: who takes one token has each member asked once for all of its part, and the pieces joined in order", async () => {
  const shelf = new TokenShelf();
  const device = await tokenStripe(shelf);
  const { joiner, joins, discarded } = recordingJoiner(shelf);
  const { tokens, lengthBytes } = await device.offload!.read({
    ...readRequest(2048, 300 * CHUNK_BYTES),
    joiner,
  });
  assert.deepEqual([tokens.length, lengthBytes], [1, 300 * CHUNK_BYTES]);
  assert.deepEqual(shelf.calls, ["read a 2048+614400", "read b 0+614400"]);
  assert.deepEqual(joins[0]!.pieces.slice(0, 3), [
    { part: 0, lengthBytes: 2048 },
    { part: 1, lengthBytes: 4096 },
    { part: 0, lengthBytes: 4096 },
  ]);
  assert.equal(discarded.length, 0);
  const within = await device.offload!.read({ ...readRequest(0, 512), joiner });
  assert.deepEqual([within.tokens[0]!.lengthBytes, joins.length], [512, 1]);
});

test("T5: a joined token ends where a member has no more, and after as many pieces as are remembered", async () => {
  const shelf = new TokenShelf();
  const { joiner, joins, discarded } = recordingJoiner(shelf);
  const short = await tokenStripe(shelf, 1024);
  const read = await short.offload!.read({ ...readRequest(0, 4 * CHUNK_BYTES), joiner });
  assert.deepEqual([read.lengthBytes, joins[0]!.tokens.length, discarded.length], [1024, 1, 1]);
  const members = [0, 1].map(() => tokenMemoryDevice(shelf, { sizeBytes: 8 * 2 ** 20 }));
  const { device } = await makeLayer("stripe", members, { chunkBytes: 512 });
  const long = await device.offload!.read({ ...readRequest(0, device.sizeBytes), joiner });
  assert.equal(long.lengthBytes, JOINED_PIECES_MAX * 512);
});

test("T5: a member that refuses is the error when the data begins there, and else where the token ends", async () => {
  const shelf = new TokenShelf();
  const { joiner, discarded } = recordingJoiner(shelf);
  const members = [0, 1].map(() => tokenMemoryDevice(shelf, { sizeBytes: 8192 }));
  const { device } = await makeLayer("span", members);
  await members[1]!.close();
  const read = await device.offload!.read({ ...readRequest(4096, 8192), joiner });
  assert.deepEqual([read.lengthBytes, discarded.length], [4096, 0]);
  const ranges = [8192, 0].map((offsetBytes) => ({ offsetBytes, lengthBytes: 512 }));
  await assert.rejects(device.offload!.read({ ...readRequest(0, 0), ranges, joiner }), {
    code: "SHUTTING_DOWN",
  });
  assert.equal(discarded.length, 1);
  for (const other of [{ persistent: true }, { kind: "hash" }] as const)
    await assert.rejects(device.offload!.read({ ...readRequest(4096, 8192), joiner, ...other }), {
      code: "TOKEN_UNSUPPORTED",
    });
});
