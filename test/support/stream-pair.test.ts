// The pair of streams in memory keeps what the port promises, as sockets do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostClock } from "../../src/host/mod.ts";
import { StreamPair } from "./stream-pair.ts";
import { checkPlaced, StreamRecorder, sendPlaced } from "./stream-recorder.ts";

const MIB = 2 ** 20;

function paired(delayMs = 0): { pair: StreamPair; ends: [StreamRecorder, StreamRecorder] } {
  const ends: [StreamRecorder, StreamRecorder] = [new StreamRecorder(), new StreamRecorder()];
  const pair = new StreamPair({ clock: hostClock, receivers: ends, delayMs });
  for (const { events } of ends) assert.deepEqual(events, []);
  return { pair, ends };
}

test("4 MiB go both ways at once through a pair to receivers that pause, then both ends close", async () => {
  const { ends } = paired();
  for (const end of ends) await end.heard("opened");
  for (const end of ends) {
    end.onBytes = (bytes) => {
      checkPlaced(end, bytes);
      end.stream.pause();
      setImmediate(() => end.stream.resume());
    };
    sendPlaced(end, 4 * MIB);
    assert.equal(end.receivedBytes, 0);
  }
  for (const end of ends) {
    await end.heard("closed");
    assert.equal(end.receivedBytes, 4 * MIB);
    assert.deepEqual(end.events, ["opened", "ended", "closed"]);
    assert.equal(end.error, undefined);
  }
});

test("a pair holds no more than its buffer while the receiver pauses", async () => {
  const { ends } = paired();
  for (const end of ends) await end.heard("opened");
  const [writer, reader] = ends;
  reader.stream.pause();
  let drained = 0;
  writer.onDrained = () => drained++;
  assert.equal(writer.stream.write([Buffer.alloc(64 * 1024)]), true);
  assert.equal(writer.stream.write([Buffer.alloc(1)]), false);
  assert.throws(() => writer.stream.write([Buffer.alloc(1)]), /before it was drained/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(drained, 0);
  assert.equal(reader.receivedBytes, 0);
  reader.stream.resume();
  while (reader.receivedBytes < 64 * 1024 + 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(drained, 1);
});

test("a cut closes both ends of a pair once, with the error, and loses what was under way", async () => {
  const { pair, ends } = paired(1);
  for (const end of ends) await end.heard("opened");
  sendPlaced(ends[0], MIB);
  pair.cut(new Error("the cable"));
  pair.cut();
  for (const end of ends) {
    await end.heard("closed");
    assert.deepEqual(end.events, ["opened", "closed"]);
    assert.equal(end.error?.message, "the cable");
  }
  assert.equal(ends[1].receivedBytes, 0);
});

test("what was written before a destroy still arrives at the other end, then its end, and writing on fails", async () => {
  const { ends } = paired();
  for (const end of ends) await end.heard("opened");
  const [gone, left] = ends;
  gone.stream.write([Buffer.from("last words")]);
  gone.stream.destroy();
  await left.heard("ended");
  assert.equal(left.receivedBytes, 10);
  assert.equal(left.memory.subarray(0, 10).toString(), "last words");
  left.stream.write([Buffer.from("hello?")]);
  await left.heard("closed");
  assert.match(left.error?.message ?? "", /gone/);
});
