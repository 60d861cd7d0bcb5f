import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { type ServedControl, serveControl } from "../../test/support/served-control.ts";
import { connectThrough, type Ropewalk } from "./mod.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

async function connected(): Promise<{ ropewalk: Ropewalk; daemon: ServedControl } & AsyncDisposable> {
  const daemon = await serveControl();
  const ropewalk = await connectTo(daemon, () => performance.now());
  await ropewalk.volumes.create({ name: "v", sizeBytes: 4 * MIB });
  const device = daemon.control.exports.open("v");
  await device.write(4096, new Uint8Array(8192).fill(9), 0);
  await device.close();
  return { ropewalk, daemon, [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose]() };
}

function connectTo({ url, key }: { url: string; key: string }, nowMs?: () => number): Promise<Ropewalk> {
  return connectThrough(() => Promise.reject(new Error("no file is needed")), { url, key }, nowMs);
}

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const list: Uint8Array[] = [];
  for await (const piece of pieces) list.push(piece);
  return Buffer.concat(list);
}

test("every call about tokens does at the daemon what it says", async () => {
  await using world = await connected();
  const { ropewalk } = world;
  const { token, tokens, lengthBytes } = await ropewalk.createToken({ source: "v" });
  assert.deepEqual([token.length, lengthBytes, tokens.length], [512, 4 * MIB, 1]);
  assert.equal((await ropewalk.showToken(token)).tokens[0]!.source, "v");
  assert.equal((await ropewalk.tokens()).length, 1);
  const bytes = await all(ropewalk.readToken(token));
  assert.equal(bytes.length, 4 * MIB);
  assert.ok(bytes.subarray(4096, 12_288).every((byte) => byte === 9));
  assert.deepEqual(
    [...(await all(ropewalk.readToken(tokens, { offsetBytes: 4095, lengthBytes: 2 })))],
    [0, 9],
  );
  const written = await ropewalk.writeToken(tokens, { volume: "v", offsetBytes: MIB, lengthBytes: MIB });
  assert.deepEqual([written.bytes, written.bytesMoved], [MIB, 0]);
  const pieces = [{ tokenOffsetBytes: 8192, offsetBytes: 2 * MIB, lengthBytes: 512 }, { lengthBytes: 1024 }];
  assert.deepEqual((await ropewalk.writeToken(token, { volume: "v", pieces })).pieces, [
    { tokenOffsetBytes: 8192, offsetBytes: 2 * MIB, bytes: 512 },
    { tokenOffsetBytes: 8704, offsetBytes: 2 * MIB + 512, bytes: 1024 },
  ]);
  await ropewalk.revokeToken(token);
  await assert.rejects(all(ropewalk.readToken(token)), { code: "TOKEN_REVOKED" });
  assert.equal((await ropewalk.showToken(token)).state, "revoked");
});

test("a copy and a zeroing say what they did and how long the call took", async () => {
  await using world = await connected();
  const { ropewalk } = world;
  const before = performance.now();
  const { elapsedMs, ...copied } = await ropewalk.copy({ source: "v", destination: "w" });
  assert.deepEqual(copied, { bytes: 4 * MIB, bytesMoved: 0, bytesPlain: 0 });
  assert.ok(elapsedMs > 0 && elapsedMs <= performance.now() - before);
  const zeroed = await ropewalk.zero("w", { offsetBytes: 4096 });
  assert.equal(zeroed.bytes, 4 * MIB - 4096);
  await assert.rejects(ropewalk.copy({ source: "none", destination: "w" }), { code: "VOLUME_NOT_FOUND" });
  await assert.rejects(ropewalk.zero("../v"), { code: "INVALID_NAME" });
});

test("a copy is cancelled at the daemon by the signal, and says last how much it copied", async () => {
  await using world = await connected();
  const { ropewalk, daemon } = world;
  await ropewalk.volumes.create({ name: "large", sizeBytes: 4 * GIB });
  const gate = Promise.withResolvers<void>();
  const graft = daemon.pool.graft.bind(daemon.pool);
  daemon.pool.graft = async (options) => {
    await gate.promise;
    return graft(options);
  };
  const abort = new AbortController();
  const seen: number[] = [];
  const copying = ropewalk.copy({
    source: "large",
    destination: "w",
    signal: abort.signal,
    onProgress: ({ bytes, bytesExpected }) => {
      assert.equal(bytesExpected, 4 * GIB);
      seen.push(bytes);
      abort.abort();
      setTimeout(gate.resolve, 100);
    },
  });
  await assert.rejects(copying, {
    code: "CANCELLED",
    message: / 1073741824 of 4294967296 bytes were copied and stay\.$/,
  });
  assert.deepEqual([seen[0], seen.at(-1)], [0, GIB]);
  assert.equal(daemon.control.copies.running(), 0);
  await assert.rejects(ropewalk.copy({ source: "v", destination: "x", signal: AbortSignal.abort() }), {
    code: "CANCELLED",
  });
  assert.equal((await ropewalk.volumes.list()).length, 3);
});

test("data of a token that breaks off is an error, never shorter data", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": "1000", "content-type": "application/octet-stream" });
    response.write(new Uint8Array(10), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ropewalk = await connectTo({ url, key: "k" });
  await assert.rejects(all(ropewalk.readToken(new Uint8Array(512))), { code: "UNREACHABLE" });
  server.close();
});
