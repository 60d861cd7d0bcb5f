// Hostile bytes: random ones, and recorded sessions with bytes changed, cut out, doubled and cut off. Whatever
// comes, the server neither throws nor hangs, its memory stays within its limits, and nothing stays open.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contextData, encodeRequest, goData, u32 } from "../../../test/support/nbd-client.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import { hostClock } from "../../host/mod.ts";
import type { ByteStream, Peer, StreamReceiver } from "../../ports/mod.ts";
import { NbdServer } from "./mod.ts";

const SIZE = 1024 * 1024;
const PEER: Peer = { kind: "unix", loopback: true, description: "fuzz" };

/** A stream in memory that takes replies at once and counts them. */
class RecordingStream implements ByteStream {
  readonly peer = PEER;
  readonly #receiver: StreamReceiver;
  sentBytes = 0;
  paused = false;
  over = false;

  constructor(receiver: StreamReceiver) {
    this.#receiver = receiver;
  }

  write(parts: readonly Uint8Array[]): boolean {
    for (const part of parts) this.sentBytes += part.length;
    return true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  startTls(): void {
    this.destroy();
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.over) return;
    this.over = true;
    queueMicrotask(() => this.#receiver.closed(undefined));
  }
}

interface Outcome {
  readonly device: ObservedDevice;
  readonly server: NbdServer;
  readonly sentBytes: number;
}

/** Feeds a session to a fresh server, in pieces of the given sizes, then breaks it off. */
async function feed(bytes: Uint8Array, pieces: readonly number[], together: boolean): Promise<Outcome> {
  const device = new ObservedDevice({ sizeBytes: SIZE });
  device.together = together;
  let opened = 0;
  const server = new NbdServer({
    clock: hostClock,
    exports: {
      list: () => [{ name: "d", description: "" }],
      open: () => {
        opened++;
        return { device, description: "", contexts: () => [] };
      },
    },
  });
  const receiver = server.accept(PEER, { mode: "none" })!;
  const stream = new RecordingStream(receiver);
  receiver.opened(stream);
  let waits = 0;
  for (let at = 0, piece = 0; at < bytes.length && !stream.over; piece++) {
    if (stream.paused) {
      assert.equal(++waits < 10_000, true, "a paused connection goes on");
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    const target = receiver.target();
    assert.equal(target.length > 0, true);
    const length = Math.min(target.length, pieces[piece % pieces.length]!, bytes.length - at);
    target.set(bytes.subarray(at, at + length));
    at += length;
    receiver.received(length);
    if (piece % 7 === 0) await Promise.resolve();
    assert.equal(server.memory.chunkBytes < 256 * 1024 * 1024, true);
  }
  // What is in work may answer; a session that says goodbye then ends by itself.
  for (let turns = 0; turns < 20 && !stream.over; turns++)
    await new Promise((resolve) => setImmediate(resolve));
  stream.destroy();
  await server.close();
  assert.equal(device.closings, opened, "every opened export is closed");
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
  return { device, server, sentBytes: stream.sentBytes };
}

const option = (number: number, data: Uint8Array = Buffer.alloc(0)) =>
  Buffer.concat([Buffer.from("IHAVEOPT"), u32(number), u32(data.length), data]);

/** A session of each format that uses all commands. */
function recorded(mode: "simple" | "structured" | "extended"): Buffer {
  const flag = mode === "extended" ? 32 : 0;
  const request = (type: number, offset: number, length: number, flags = 0) =>
    encodeRequest(mode, { type, offset, length, flags, cookie: BigInt(type * 1000 + offset) });
  return Buffer.concat([
    u32(3),
    option(3),
    ...(mode === "simple" ? [] : [option(mode === "structured" ? 8 : 11), option(9, contextData("d", []))]),
    ...(mode === "simple" ? [] : [option(10, contextData("d", ["base:allocation"]))]),
    option(6, goData("d", [1, 2, 3])),
    option(99, Buffer.alloc(40)),
    option(7, goData("d", [3])),
    request(1, 0, 512, flag | 1),
    Buffer.alloc(512, 1),
    request(0, 0, 4096),
    request(1, 4096, 20_000, flag),
    Buffer.alloc(20_000, 2),
    request(0, 0, 200_000),
    request(3, 0, 0),
    request(6, 8192, 65_536, 2),
    request(4, 8192, 4096),
    request(5, 0, 100_000),
    request(7, 0, SIZE),
    request(7, 0, SIZE, 8),
    ...(mode === "extended" ? [request(7, 0, 12, 32), Buffer.from("000000000000100000000000", "hex")] : []),
    request(0, SIZE, 1),
    request(2, 0, 0),
  ]);
}

const SESSIONS = (["simple", "structured", "extended"] as const).map(recorded);
/** By number, so that a counterexample stays short. */
const session = fc.integer({ min: 0, max: SESSIONS.length - 1 });
const pieces = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 5 });

test("the recorded sessions are whole: all that they ask is done", async () => {
  for (const session of SESSIONS) {
    for (const together of [false, true]) {
      const { device, server } = await feed(session, [100_000], together);
      assert.equal(device.calls.filter((call) => call.startsWith("write")).length, 2);
      assert.equal(server.counters.requests >= 12, true);
    }
  }
});

test("cut into any pieces, a session does the same", async () => {
  await fc.assert(
    fc.asyncProperty(session, pieces, async (index, sizes) => {
      const whole = await feed(SESSIONS[index]!, [100_000], false);
      const cut = await feed(SESSIONS[index]!, sizes, false);
      assert.deepEqual(cut.device.calls, whole.device.calls);
      assert.equal(cut.sentBytes, whole.sentBytes);
    }),
    { numRuns: 150 },
  );
});

test("random bytes behind the flags harm nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), pieces, async (bytes, sizes) => {
      await feed(Buffer.concat([u32(3), bytes]), sizes, false);
    }),
    { numRuns: 300 },
  );
});

const mutation = fc.record({
  kind: fc.constantFrom("set", "flip", "cut", "double", "end", "insert", "word"),
  part: fc.constantFrom("handshake", "requests", "requests", "all"),
  at: fc.integer({ min: 0, max: 9_999 }),
  value: fc.integer({ min: 0, max: 0xffff_ffff }),
});

interface Change {
  readonly kind: string;
  readonly part: string;
  readonly at: number;
  readonly value: number;
}

function mutated(session: Buffer, changes: readonly Change[]): Buffer {
  let bytes = Buffer.from(session);
  for (const { kind, part, at, value } of changes) {
    // Most of a session is the payload of its second write; the headers around it are worth more changes.
    const requests = Math.max(4, bytes.lastIndexOf("IHAVEOPT"));
    const [from, until] =
      part === "handshake"
        ? [0, requests]
        : part === "requests"
          ? [requests + 25, bytes.length]
          : [0, bytes.length];
    const spread = Math.floor((at / 10_000) * (until - from));
    const near = part === "requests" && value % 2 === 0 ? at % 620 : until - from - 1 - (at % 350);
    const position = Math.min(Math.max(0, from + (part === "requests" ? near : spread)), bytes.length - 1);
    const rest = bytes.subarray(position + 1 + (value % 64));
    if (kind === "set") bytes[position] = value & 0xff;
    else if (kind === "flip") bytes[position]! ^= 1 << (value & 7);
    else if (kind === "cut") bytes = Buffer.concat([bytes.subarray(0, position), rest]);
    else if (kind === "double")
      bytes = Buffer.concat([bytes.subarray(0, position + 1 + (value % 64)), bytes.subarray(position)]);
    else if (kind === "end") bytes = Buffer.from(bytes.subarray(0, position + 1));
    else if (kind === "insert")
      bytes = Buffer.concat([bytes.subarray(0, position), u32(value), bytes.subarray(position)]);
    else if (position + 4 <= bytes.length) bytes.writeUInt32BE(value, position);
  }
  return bytes;
}

test("recorded sessions with changes harm nothing", async () => {
  const changes = fc.array(mutation, { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(session, changes, pieces, fc.boolean(), async (index, list, sizes, together) => {
      await feed(mutated(SESSIONS[index]!, list), sizes, together);
    }),
    { numRuns: 1_500 },
  );
});
