// Sockets as streams: where they listen, what they deliver, and what becomes of addresses that are taken.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import type { ByteStream, Listener, Peer, StreamAddress, StreamReceiver } from "../ports/mod.ts";
import { acceptInto } from "./accepted-socket.ts";
import { BusyPoll } from "./busy-poll.ts";
import { isLoopback } from "./socket-peer.ts";
import { SocketStream } from "./socket-stream.ts";
import { SocketNetwork } from "./stream-server.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Receives into one buffer and remembers everything. */
class Recorder implements StreamReceiver {
  readonly buffer = Buffer.alloc(256 * 1024);
  readonly pieces: Buffer[] = [];
  stream!: ByteStream;
  events: string[] = [];
  onBytes: (() => void) | undefined;

  opened(stream: ByteStream): void {
    this.stream = stream;
    this.events.push("opened");
  }
  target(): Uint8Array {
    return this.buffer;
  }
  received(length: number): void {
    this.pieces.push(Buffer.from(this.buffer.subarray(0, length)));
    this.onBytes?.();
  }
  drained(): void {
    this.events.push("drained");
  }
  secured(): void {}
  ended(): void {
    this.events.push("ended");
  }
  closed(): void {
    this.events.push("closed");
  }
  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

async function listening(
  address: StreamAddress,
): Promise<{ listener: Listener; recorders: Recorder[]; peers: Peer[] }> {
  const recorders: Recorder[] = [];
  const peers: Peer[] = [];
  const listener = await new SocketNetwork().listen(address, (peer) => {
    const recorder = new Recorder();
    recorders.push(recorder);
    peers.push(peer);
    return recorder;
  });
  return { listener, recorders, peers };
}

async function connected(address: StreamAddress): Promise<Socket> {
  const socket = address.kind === "unix" ? connect(address.path) : connect(address.port, address.host);
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(2);
}

test("bytes arrive in the receiver's memory, in order, in large pieces", async () => {
  using folder = new TemporaryFolder();
  const { listener, recorders } = await listening({ kind: "unix", path: folder.file("s") });
  const socket = await connected(listener.address);
  const sent = Buffer.alloc(3_000_000, "abcdefg");
  socket.end(sent);
  await until(() => recorders[0]?.events.includes("ended") === true);
  assert.equal(recorders[0]!.bytes.equals(sent), true);
  assert.equal(Math.max(...recorders[0]!.pieces.map((piece) => piece.length)) > 65_536, true);
  recorders[0]!.stream.end();
  await until(() => recorders[0]!.events.includes("closed"));
  await listener.close();
});

test("a paused stream delivers nothing until it is resumed", async () => {
  using folder = new TemporaryFolder();
  const { listener, recorders } = await listening({ kind: "unix", path: folder.file("s") });
  const socket = await connected(listener.address);
  await until(() => recorders.length === 1);
  const recorder = recorders[0]!;
  recorder.onBytes = () => recorder.stream.pause();
  socket.write(Buffer.alloc(1_000_000));
  await until(() => recorder.pieces.length > 0);
  const before = recorder.bytes.length;
  await pause(40);
  assert.equal(recorder.bytes.length, before);
  recorder.onBytes = undefined;
  recorder.stream.resume();
  await until(() => recorder.bytes.length === 1_000_000);
  socket.destroy();
  await listener.close();
});

test("a write that the peer does not take is queued, and the end of the queue is told", async () => {
  using folder = new TemporaryFolder();
  const { listener, recorders } = await listening({ kind: "unix", path: folder.file("s") });
  const socket = await connected(listener.address);
  socket.pause();
  await until(() => recorders.length === 1);
  const { stream, events } = recorders[0]!;
  assert.equal(stream.write([Buffer.from("a"), Buffer.from("b")]), true);
  assert.equal(stream.write([Buffer.alloc(2_000_000), Buffer.alloc(1_000_000)]), false);
  await pause(20);
  assert.deepEqual(events, ["opened"]);
  let taken = 0;
  socket.on("data", (bytes) => (taken += bytes.length));
  socket.resume();
  await until(() => events.includes("drained"));
  await until(() => taken === 3_000_002);
  assert.deepEqual(events, ["opened", "drained"]);
  stream.destroy();
  await until(() => events.includes("closed"));
  await listener.close();
});

test("a receiver may refuse a connection", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("s");
  const listener = await new SocketNetwork().listen({ kind: "unix", path }, () => undefined);
  const socket = connect(path);
  await new Promise<void>((resolve) => {
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
  });
  await listener.close();
});

test("a Node whose server has no handle of the known shape serves through ordinary sockets", async () => {
  using folder = new TemporaryFolder();
  const server = createServer({ allowHalfOpen: true });
  const strange = { _handle: {} } as unknown as typeof server;
  assert.equal(
    acceptInto(
      strange,
      () => {},
      () => {},
    ),
    false,
  );
  const recorder = new Recorder();
  server.on("connection", (socket) => {
    new SocketStream({ kind: "unix", loopback: true, description: "unix" }, recorder, new BusyPoll(0)).attach(
      socket,
      "copied",
    );
  });
  await new Promise<void>((resolve) => server.listen(folder.file("s"), resolve));
  const socket = await connected({ kind: "unix", path: folder.file("s") });
  const sent = Buffer.alloc(1_000_000, "0123456789");
  recorder.onBytes = () => {
    recorder.stream.pause();
    setTimeout(() => recorder.stream.resume(), 1);
  };
  socket.end(sent);
  await until(() => recorder.bytes.length === sent.length);
  assert.equal(recorder.bytes.equals(sent), true);
  await until(() => recorder.events.includes("ended"));
  recorder.stream.destroy();
  await until(() => recorder.events.includes("closed"));
  server.close();
});

test("port 0 becomes a free port, and a peer on loopback is known as such", async () => {
  const { listener, peers } = await listening({ kind: "tcp", host: "127.0.0.1", port: 0 });
  assert.equal(listener.address.kind === "tcp" && listener.address.port > 0, true);
  const socket = await connected(listener.address);
  await until(() => peers.length === 1 && peers[0]!.description !== "tcp");
  assert.equal(peers[0]!.loopback, true);
  assert.match(peers[0]!.description, /^127\.0\.0\.1:\d+$/);
  socket.destroy();
  await listener.close();
});

test("an address that is taken is refused with one clear sentence", async () => {
  using folder = new TemporaryFolder();
  const first = await listening({ kind: "unix", path: folder.file("s") });
  await assert.rejects(listening({ kind: "unix", path: folder.file("s") }), {
    code: "ADDRESS_IN_USE",
    message: `cannot listen on ${folder.file("s")}: somebody else listens there`,
  });
  const tcp = await listening({ kind: "tcp", host: "127.0.0.1", port: 0 });
  await assert.rejects(listening(tcp.listener.address), { code: "ADDRESS_IN_USE" });
  await assert.rejects(listening({ kind: "unix", path: folder.file("no/such/folder") }), {
    code: "ADDRESS_IN_USE",
  });
  await first.listener.close();
  await tcp.listener.close();
});

test("a socket file that a dead process left is replaced, another file is not", async () => {
  using folder = new TemporaryFolder();
  const path = folder.file("s");
  const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  const { spawnSync } = await import("node:child_process");
  spawnSync(process.execPath, ["-e", script]);
  assert.equal(existsSync(path), true);
  const { listener } = await listening({ kind: "unix", path });
  await listener.close();
  writeFileSync(folder.file("data"), "precious");
  await assert.rejects(listening({ kind: "unix", path: folder.file("data") }), { code: "ADDRESS_IN_USE" });
  assert.equal(existsSync(folder.file("data")), true);
});

test("loopback addresses are told from others", () => {
  for (const host of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost"])
    assert.equal(isLoopback(host), true, host);
  for (const host of [
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "example.org",
    "127.0.0.1.example.org",
    "",
  ])
    assert.equal(isLoopback(host), false, host);
});

test("many small parts, and parts that are cut by a full socket, arrive whole and in order", async () => {
  using folder = new TemporaryFolder();
  const { listener, recorders } = await listening({ kind: "unix", path: folder.file("s") });
  const socket = await connected(listener.address);
  const pieces: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => pieces.push(bytes));
  await until(() => recorders.length === 1);
  const { stream, events } = recorders[0]!;
  const small = Array.from({ length: 3_000 }, (_, index) => Buffer.from(`${index},`));
  const large = Array.from({ length: 9 }, (_, index) => Buffer.alloc(100_000 + index, index));
  for (const parts of [small, large]) {
    events.length = 0;
    if (!stream.write(parts)) await until(() => events.includes("drained"));
  }
  const expected = Buffer.concat([...small, ...large]);
  await until(() => pieces.reduce((sum, piece) => sum + piece.length, 0) === expected.length);
  assert.equal(Buffer.concat(pieces).equals(expected), true);
  socket.destroy();
  await listener.close();
});

test("writing to a peer that is gone closes the stream and nothing else", async () => {
  using folder = new TemporaryFolder();
  const { listener, recorders } = await listening({ kind: "unix", path: folder.file("s") });
  const socket = await connected(listener.address);
  await until(() => recorders.length === 1);
  const { stream, events } = recorders[0]!;
  socket.destroy();
  await until(() => {
    stream.write([Buffer.alloc(1_000)]);
    return events.includes("closed");
  });
  assert.equal(events.filter((event) => event === "closed").length, 1);
  await listener.close();
});
