import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../src/base/prng.ts";
import type { BlockClient } from "../support/block-client.ts";
import { ExpectedVolume } from "./expected-volume.ts";
import { VerifyingWriter } from "./verifying-writer.ts";

const SIZE_BYTES = 4 * 2 ** 20;

/** A volume in memory whose requests end some turns later; `spoil` may change what a write stores. */
function memoryClient(spoil: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes) {
  const content = new Uint8Array(SIZE_BYTES);
  const later = () => new Promise<void>((done) => setImmediate(done));
  const clear = (offset: number, length: number) =>
    later().then(() => void content.fill(0, offset, offset + length));
  const client: BlockClient = {
    read: (offset, length) => later().then(() => content.slice(offset, offset + length)),
    write: (offset, bytes) => later().then(() => content.set(spoil(bytes), offset)),
    zero: clear,
    trim: clear,
    flush: later,
    close: later,
  };
  return { client, content };
}

function writerOn(client: BlockClient) {
  const expected = new ExpectedVolume(SIZE_BYTES);
  let last = 0;
  const nextRequest = () => ++last;
  return {
    expected,
    writer: new VerifyingWriter({ clients: [client], expected, prng: new Prng(7), nextRequest }),
  };
}

async function runFor(writer: VerifyingWriter, milliseconds: number): Promise<void> {
  setTimeout(() => writer.end(), milliseconds);
  await writer.run();
}

test("the writer finds nothing wrong with a volume that keeps what it is given", async () => {
  const { client, content } = memoryClient();
  const { writer, expected } = writerOn(client);
  await runFor(writer, 300);
  assert.ok(writer.acknowledged > 50, `${writer.acknowledged} requests`);
  assert.deepEqual([...writer.problems, ...expected.settle(content)], []);
});

test("the writer finds a volume that now and then loses the end of a write", async () => {
  let writes = 0;
  const { client, content } = memoryClient((bytes) =>
    ++writes % 20 === 0 ? bytes.subarray(0, -512) : bytes,
  );
  const { writer, expected } = writerOn(client);
  await runFor(writer, 300);
  assert.notDeepEqual([...writer.problems, ...expected.settle(content)], []);
});

test("no request is begun while the writer is held", async () => {
  const { client } = memoryClient();
  const { writer, expected } = writerOn(client);
  const running = runFor(writer, 200);
  const release = writer.hold();
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(expected.outstanding, 0);
  const before = writer.acknowledged;
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(writer.acknowledged, before);
  release();
  await running;
  assert.ok(writer.acknowledged > before);
});

test("a request that fails before the server was killed is a problem, one that fails afterwards is not", async () => {
  for (const killed of [false, true]) {
    const { client } = memoryClient();
    const failLate = () => new Promise<never>((_, fail) => setTimeout(() => fail(new Error("gone")), 40));
    const { writer } = writerOn({ ...client, write: failLate });
    await runFor(writer, killed ? 20 : 200);
    assert.deepEqual(writer.problems.length > 0, !killed);
  }
});
