import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { ByteStream } from "../../ports/mod.ts";
import {
  FRAME_BYTES_MAX_BEFORE_HELLO,
  type Frame,
  FrameReader,
  NO_MAC,
  PROTOCOL_VERSION,
  packRequest,
  type Request,
  readReply,
} from "../../wire/filesync/mod.ts";
import { CONFIGURATION, openAdmission } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { TargetConnectionServer } from "./target-connection-server.ts";

/** A source's end in memory. */
class Served implements ByteStream {
  readonly peer = { kind: "tcp", loopback: true, description: "test" } as const;
  readonly clock = new SteppedClock();
  readonly tree = new MemoryTree();
  readonly ended: (RopewalkError | undefined)[] = [];
  readonly server: TargetConnectionServer;
  readonly frames: Frame[] = [];
  takes = true;
  isPaused = false;
  state: "open" | "ended" | "destroyed" = "open";
  readonly #reader = new FrameReader({ bytesMax: 2 ** 23, takes: "replies" });
  #id = 0;

  constructor() {
    this.server = new TargetConnectionServer({
      clock: this.clock,
      admission: openAdmission(this.tree),
      ended: (error) => this.ended.push(error),
    });
  }

  open(): this {
    this.server.receiver.opened(this);
    return this;
  }

  async entered(): Promise<this> {
    this.open().ask(HELLO);
    await this.clock.step(0);
    this.frames.length = 0;
    return this;
  }

  write(parts: readonly Uint8Array[]): boolean {
    for (const part of parts) this.frames.push(...this.#reader.push(part));
    return this.takes;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  startTls(): void {}
  end(): void {
    this.state = "ended";
  }
  destroy(): void {
    this.state = "destroyed";
  }

  ask(request: Request): void {
    this.give(Buffer.concat(packRequest(++this.#id, request)));
  }

  give(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const memory = this.server.receiver.target();
      const length = Math.min(memory.length, rest.length);
      memory.set(rest.subarray(0, length));
      this.server.receiver.received(length);
      rest = rest.subarray(length);
    }
  }

  /** The codes of the errors that were replied. */
  get errors(): string[] {
    return this.frames.flatMap((frame) => {
      const reply = frame.type === 129 ? readReply(frame, "sync") : undefined;
      return reply instanceof RopewalkError ? [reply.code] : [];
    });
  }
}

const { modes, deletes, synchronization, target } = CONFIGURATION;
const HELLO: Request = {
  type: "hello",
  hello: {
    ...{ modes, deletes, synchronization, target, connection: 0, connections: 1, role: "main" },
    ...{
      version: PROTOCOL_VERSION,
      nonce: new Uint8Array(32),
      sourceHost: "",
      sourceDirectory: "",
      mac: NO_MAC,
    },
  },
};

test("requests are answered, and a request that fails ends nothing", async () => {
  const served = await new Served().entered();
  served.tree.before = () => {
    throw new RopewalkError("IO_ERROR", "the disk");
  };
  served.ask({ type: "sync" });
  served.ask({ type: "keepAlive" });
  await served.clock.step(0);
  assert.deepEqual([served.frames.length, served.errors, served.state], [2, ["IO_ERROR"], "open"]);
});

test("bytes that are no frame end the connection, after a reply that says why", async () => {
  const served = await new Served().entered();
  served.give(new Uint8Array(64).fill(0xff));
  await served.clock.step(0);
  assert.deepEqual(
    [served.errors, served.state, served.ended[0]?.code],
    [["PROTOCOL_ERROR"], "ended", "PROTOCOL_ERROR"],
  );
  assert.equal(served.clock.pending, 0);
});

test("a request before HELLO, or one that is larger than a HELLO can be, ends the connection", async () => {
  const large: Request = { type: "apply", bundle: new Uint8Array(FRAME_BYTES_MAX_BEFORE_HELLO + 1) };
  for (const request of [{ type: "sync" } as const, large]) {
    const served = new Served().open();
    served.ask(request);
    await served.clock.step(0);
    assert.deepEqual([served.errors, served.state], [["PROTOCOL_ERROR"], "ended"]);
  }
});

test("nothing more is read while 256 requests are under way", async () => {
  const served = await new Served().entered();
  const busy = new Deferred();
  served.tree.before = () => busy.promise;
  for (let request = 0; request < 255; request += 1) served.ask({ type: "sync" });
  assert.equal(served.isPaused, false);
  served.ask({ type: "sync" });
  assert.equal(served.isPaused, true);
  busy.resolve();
  await served.clock.step(0);
  assert.deepEqual([served.isPaused, served.frames.length], [false, 256]);
});

test("nothing more is read while the peer does not take its replies", async () => {
  const served = await new Served().entered();
  served.takes = false;
  served.ask({ type: "keepAlive" });
  await served.clock.step(0);
  served.tree.hashes = async () => new Uint8Array(2 ** 20);
  const request = { offset: 0, length: 2 ** 26, blockBytes: 1024, seed: 0 };
  for (let asked = 0; asked < 64; asked += 1) served.ask({ type: "hashes", path: "f", request });
  await served.clock.step(0);
  assert.equal(served.isPaused, true);
  served.takes = true;
  served.server.receiver.drained();
  assert.equal(served.isPaused, false);
});

test("content that waits to be written keeps its memory; what was written leaves it to what comes", async () => {
  const served = await new Served().entered();
  const written: Uint8Array[] = [];
  let busy = new Deferred();
  served.tree.begin = async () => ({
    write: async (_offset, bytes) => {
      await busy.promise;
      written.push(bytes);
      assert.ok(bytes.every((byte) => byte === bytes[0]));
    },
    keep: async () => undefined,
    commit: async () => undefined,
    abort: async () => undefined,
  });
  served.ask({ type: "begin", path: "f" });
  await served.clock.step(0);
  const ask = (...fills: number[]) => {
    for (const fill of fills)
      served.ask({ type: "write", handle: 1, offset: 0, bytes: new Uint8Array(2 ** 20).fill(fill) });
  };
  ask(1, 2);
  await served.clock.step(0);
  busy.resolve();
  await served.clock.step(0);
  assert.deepEqual([written.map(([byte]) => byte), served.errors], [[1, 2], []]);
  const before = new Set(written.splice(0).map(({ buffer }) => buffer));
  busy = new Deferred();
  ask(3, 4, 5);
  busy.resolve();
  await served.clock.step(0);
  assert.deepEqual(
    written.map(([byte]) => byte),
    [3, 4, 5],
  );
  assert.deepEqual(written.map(({ buffer }) => before.has(buffer)).sort(), [false, true, true]);
  served.ask({ type: "keepAlive" });
  await served.clock.step(0);
  ask(6);
  await served.clock.step(0);
  assert.ok(!written.slice(0, 3).some(({ buffer }) => buffer === written[3]!.buffer));
});

test("a peer that says no HELLO in time, or nothing for long, is cut", async () => {
  const silent = new Served().open();
  await silent.clock.step(10_000);
  assert.deepEqual([silent.state, silent.ended.length, silent.clock.pending], ["destroyed", 1, 0]);
  const idle = await new Served().entered();
  await idle.clock.step(80_000);
  idle.ask({ type: "keepAlive" });
  await idle.clock.step(80_000);
  assert.equal(idle.state, "open");
  await idle.clock.step(20_000);
  assert.equal(idle.state, "destroyed");
});

test("a request that takes long is no silence", async () => {
  const served = await new Served().entered();
  const busy = new Deferred();
  served.tree.before = () => busy.promise;
  served.ask({ type: "sync" });
  await served.clock.step(500_000);
  assert.equal(served.state, "open");
});

test("it has ended when nothing of it is under way, and leaves no timer", async () => {
  const served = await new Served().entered();
  const busy = new Deferred();
  served.tree.before = () => busy.promise;
  served.ask({ type: "sync" });
  await served.clock.step(0);
  served.server.close();
  await served.clock.step(0);
  assert.deepEqual([served.state, served.ended, served.clock.pending], ["ended", [], 0]);
  busy.resolve();
  await served.clock.step(0);
  assert.deepEqual(served.ended, [undefined]);
});

test("a stream that comes when it was closed already is cut", () => {
  const served = new Served();
  served.server.close();
  served.open();
  assert.deepEqual([served.state, served.clock.pending], ["destroyed", 0]);
});
