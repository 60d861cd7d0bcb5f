import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteStream } from "../../ports/mod.ts";
import { ChunkPool, SMALL_BYTES } from "./chunk-pool.ts";
import { ReplyQueue } from "./reply-queue.ts";

const MEBIBYTE = 1024 * 1024;

/** A stream that takes as many batches as it is told to, and keeps what it got. */
class CountingStream implements ByteStream {
  readonly peer = { kind: "unix", loopback: true, description: "test" } as const;
  readonly batches: Buffer[] = [];
  isStuck = false;

  write(parts: readonly Uint8Array[]): boolean {
    this.batches.push(Buffer.concat(parts));
    return !this.isStuck;
  }

  pause(): void {}
  resume(): void {}
  startTls(): void {}
  end(): void {}
  destroy(): void {}
}

function queueOn(stream: CountingStream) {
  const pool = new ChunkPool();
  let givenBytes = 0;
  const account = {
    give: (bytes: number) => {
      givenBytes += bytes;
    },
  };
  const queue = new ReplyQueue(pool, account, SMALL_BYTES);
  queue.stream = stream;
  const say = (text: string, charge = 0) => {
    const chunk = queue.reserve(text.length);
    chunk.bytes.write(text, queue.position, "latin1");
    queue.commit(text.length, charge);
  };
  return { pool, queue, say, given: () => givenBytes };
}

test("what is written, appended and attached leaves in its order, and all memory comes back", () => {
  const stream = new CountingStream();
  const { pool, queue, say, given } = queueOn(stream);
  say("one ", 1);
  queue.reserve(6);
  const region = queue.detach(6);
  say("two ", 2);
  queue.append(Buffer.from("three "), 4);
  region.chunk.bytes.write("four ..".slice(0, 6), region.start, "latin1");
  queue.attach(region, 8);
  const memory = pool.atLeast(100);
  queue.append(memory.bytes.subarray(0, 0), 0, memory);
  memory.release();
  queue.flush();
  assert.equal(Buffer.concat(stream.batches).toString(), "one two three four .");
  assert.equal(given(), 15);
  assert.equal(queue.queuedBytes, 0);
  assert.equal(pool.usedBytes, 0);
});

test("a peer that takes nothing has about a mebibyte of replies with the stream, and the rest follows", () => {
  const stream = new CountingStream();
  const { pool, queue, say, given } = queueOn(stream);
  stream.isStuck = true;
  for (let number = 0; number < 40; number++) {
    say(`${number} `);
    queue.append(Buffer.alloc(MEBIBYTE / 4, number), MEBIBYTE / 4);
  }
  queue.flush();
  queue.flush();
  assert.equal(stream.batches.length, 1);
  assert.ok(queue.sentBytes < 1.5 * MEBIBYTE, String(queue.sentBytes));
  assert.ok(queue.unpaidBytes < 1024, String(queue.unpaidBytes));
  for (let batches = 1; queue.isBusy; batches++) {
    assert.equal(queue.batchesTaken, batches - 1);
    queue.drained();
    queue.flush();
  }
  const numbers = Array.from({ length: 40 }, (_, number) =>
    Buffer.concat([Buffer.from(`${number} `), Buffer.alloc(MEBIBYTE / 4, number)]),
  );
  assert.ok(Buffer.concat(stream.batches).equals(Buffer.concat(numbers)));
  assert.equal(given(), 10 * MEBIBYTE);
  assert.equal(pool.usedBytes, 0);
});

test("a long reply leaves a mebibyte at a time, and is paid for until all of it has left", () => {
  const stream = new CountingStream();
  const { pool, queue, say, given } = queueOn(stream);
  stream.isStuck = true;
  const memory = pool.atLeast(5 * MEBIBYTE);
  for (let at = 0; at < 5; at++) memory.bytes.fill(at + 1, at * MEBIBYTE, (at + 1) * MEBIBYTE);
  say("head");
  queue.append(memory.bytes.subarray(0, 5 * MEBIBYTE), 5 * MEBIBYTE, memory);
  memory.release();
  say("next");
  queue.flush();
  while (queue.isBusy) {
    if (queue.gatheredBytes > MEBIBYTE) assert.equal(given(), 0);
    assert.ok(queue.sentBytes <= 2 * MEBIBYTE, String(queue.sentBytes));
    queue.drained();
    queue.flush();
  }
  assert.equal(queue.batchesTaken, 6);
  const whole = Buffer.concat(stream.batches);
  assert.equal(whole.subarray(0, 4).toString() + whole.subarray(-4).toString(), "headnext");
  for (let at = 0; at < 5; at++)
    assert.ok(whole.subarray(4 + at * MEBIBYTE, 4 + (at + 1) * MEBIBYTE).every((byte) => byte === at + 1));
  assert.equal(given(), 5 * MEBIBYTE);
  assert.equal(pool.usedBytes, 0);
});

test("a queue that is closed gives everything back once", () => {
  const stream = new CountingStream();
  const { pool, queue, say, given } = queueOn(stream);
  stream.isStuck = true;
  say("sent", 1);
  queue.flush();
  say("gathered", 2);
  queue.append(Buffer.alloc(2 * MEBIBYTE), 4);
  say("gathered", 8);
  queue.close();
  queue.close();
  assert.equal(given(), 15);
  assert.equal(queue.queuedBytes, 0);
  assert.equal(pool.usedBytes, 0);
});
