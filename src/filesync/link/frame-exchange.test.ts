import assert from "node:assert/strict";
import test from "node:test";
import { RopewalkError } from "../../base/errors.ts";
import type { ByteStream, Peer, StreamReceiver } from "../../ports/mod.ts";
import { FrameReader, packError, packReply, packRequest, readRequest } from "../../wire/filesync/mod.ts";
import { FrameExchange } from "./frame-exchange.ts";

/** The other end: what was written, and what it takes. */
class TestStream implements ByteStream {
  peer: Peer = { kind: "tcp", loopback: true, description: "test" };
  readonly written: Uint8Array[][] = [];
  takes = true;
  state: "open" | "ended" | "destroyed" = "open";

  write(parts: readonly Uint8Array[]): boolean {
    this.written.push(parts.map((part) => new Uint8Array(part)));
    return this.takes;
  }
  pause(): void {}
  resume(): void {}
  startTls(): void {}
  end(): void {
    this.state = "ended";
  }
  destroy(): void {
    this.state = "destroyed";
  }

  get requests(): { readonly id: number; readonly type: string }[] {
    const reader = new FrameReader({ bytesMax: 2 ** 20, takes: "requests" });
    const frames = this.written.flatMap((parts) => reader.push(Buffer.concat(parts)));
    return frames.map((frame) => ({ id: frame.id, type: readRequest(frame).type }));
  }
}

function give(receiver: StreamReceiver, parts: readonly Uint8Array[]): void {
  let bytes: Uint8Array = Buffer.concat(parts);
  while (bytes.length > 0) {
    const memory = receiver.target();
    const length = Math.min(memory.length, bytes.length);
    memory.set(bytes.subarray(0, length));
    receiver.received(length);
    bytes = bytes.subarray(length);
  }
}

function opened(): { exchange: FrameExchange; stream: TestStream } {
  const exchange = new FrameExchange("ropewalk://there/copy");
  const stream = new TestStream();
  exchange.receiver.opened(stream);
  return { exchange, stream };
}

const isCode = (code: string) => (error: unknown) => error instanceof RopewalkError && error.code === code;

test("replies find their requests in whatever order they come", async () => {
  const { exchange } = opened();
  const free = exchange.ask({ type: "free" });
  const begun = exchange.ask({ type: "begin", path: "a" });
  give(exchange.receiver, packReply(2, { type: "begin", handle: 9 }));
  give(exchange.receiver, packReply(1, { type: "free", freeBytes: 5 }));
  assert.deepEqual(
    [await free, await begun],
    [
      { type: "free", freeBytes: 5 },
      { type: "begin", handle: 9 },
    ],
  );
});

test("a reply to what nobody asked ends the connection, and all who wait hear why", async () => {
  const { exchange, stream } = opened();
  const asked = exchange.ask({ type: "sync" });
  give(exchange.receiver, packReply(77, { type: "sync" }));
  await assert.rejects(asked, isCode("PROTOCOL_ERROR"));
  assert.equal((await exchange.closed)?.code, "PROTOCOL_ERROR");
  assert.equal(stream.state, "destroyed");
});

test("a reply that cannot be read ends the connection, and its own request hears of it too", async () => {
  const { exchange } = opened();
  const asked = exchange.ask({ type: "free" });
  give(exchange.receiver, packReply(1, { type: "sync" }));
  await assert.rejects(asked, isCode("PROTOCOL_ERROR"));
});

test("an error of one request is that request's, and the connection goes on", async () => {
  const { exchange } = opened();
  const [refused, other] = [exchange.ask({ type: "sync" }), exchange.ask({ type: "keepAlive" })];
  give(exchange.receiver, packError(1, "NO_SPACE", "The target is full."));
  give(exchange.receiver, packReply(2, { type: "keepAlive" }));
  await assert.rejects(refused, isCode("NO_SPACE"));
  assert.deepEqual(await other, { type: "keepAlive" });
});

test("when the connection ends, what was asked and what is asked later is UNREACHABLE", async () => {
  const { exchange } = opened();
  const asked = exchange.ask({ type: "sync" });
  exchange.receiver.closed(undefined);
  await assert.rejects(asked, isCode("UNREACHABLE"));
  await assert.rejects(exchange.ask({ type: "sync" }), isCode("UNREACHABLE"));
  assert.equal((await exchange.closed)?.code, "UNREACHABLE");
});

test("a program's end is told with its own words, which come behind its last byte", async () => {
  const exchange = new FrameExchange("ssh://there/copy");
  const stream = new TestStream();
  stream.peer = { kind: "process", loopback: false, description: "test" };
  exchange.receiver.opened(stream);
  const asked = exchange.ask({ type: "sync" });
  exchange.receiver.ended();
  assert.equal(stream.state, "ended");
  exchange.receiver.closed(new RopewalkError("UNREACHABLE", "Permission denied"));
  await assert.rejects(asked, /ssh:\/\/there\/copy: Permission denied/);
});

test("where the other end of a socket says no more, what was asked is UNREACHABLE at once", async () => {
  const { exchange } = opened();
  const asked = exchange.ask({ type: "sync" });
  exchange.receiver.ended();
  await assert.rejects(asked, isCode("UNREACHABLE"));
});

test("why a connection could not be made is told with its code", async () => {
  const exchange = new FrameExchange("ropewalk://there/copy");
  exchange.receiver.closed(new RopewalkError("UNAUTHORIZED", "the key is another one"));
  await assert.rejects(exchange.ready, isCode("UNAUTHORIZED"));
});

test("a connection that is closed says so once, and a stream that comes afterwards is cut", async () => {
  const exchange = new FrameExchange("ropewalk://there/copy");
  exchange.close();
  exchange.abandon(new RopewalkError("TIMEOUT", "too late"));
  const stream = new TestStream();
  exchange.receiver.opened(stream);
  assert.equal(await exchange.closed, undefined);
  assert.equal(stream.state, "destroyed");
});

test("while the stream takes nothing, requests wait, and go out together in their order", () => {
  const { exchange, stream } = opened();
  stream.takes = false;
  for (const type of ["keepAlive", "sync", "free"] as const)
    void exchange.ask({ type }).catch(() => undefined);
  assert.deepEqual(
    stream.requests.map(({ type }) => type),
    ["keepAlive"],
  );
  const before = exchange.progress;
  exchange.receiver.drained();
  assert.ok(exchange.progress > before, "that the stream took bytes is progress");
  assert.deepEqual(
    stream.requests.map(({ type }) => type),
    ["keepAlive", "sync", "free"],
  );
  assert.equal(stream.written.length, 2);
});

test("what was asked before there is a stream is sent when there is one", () => {
  const exchange = new FrameExchange("ropewalk://there/copy");
  void exchange.ask({ type: "sync" }).catch(() => undefined);
  const stream = new TestStream();
  exchange.receiver.opened(stream);
  assert.deepEqual(stream.requests, [{ id: 1, type: "sync" }]);
  assert.equal(exchange.sentBytes, Buffer.concat(packRequest(1, { type: "sync" })).length);
});

test("the memory of a bundle is given back with its reply, but never while the stream has it", async () => {
  const { exchange, stream } = opened();
  const reply = { type: "apply", result: { done: 0, failures: [] } } as const;
  const bundles = [new Uint8Array(2 ** 17), new Uint8Array(2 ** 17)] as const;
  const taken = exchange.ask({ type: "apply", bundle: bundles[0] });
  give(exchange.receiver, packReply(1, reply));
  await taken;
  stream.takes = false;
  const early = exchange.ask({ type: "apply", bundle: bundles[1] });
  give(exchange.receiver, packReply(2, reply));
  await early;
  assert.deepEqual([bundles[0].length, bundles[1].length], [0, 2 ** 17]);
});
