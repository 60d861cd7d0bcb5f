// Streams that are dialed, plain and with a shared key: what they carry, and what is said when they fail.
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { checkPlaced, StreamRecorder, sendPlaced } from "../../test/support/stream-recorder.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { RopewalkError } from "../base/errors.ts";
import type { Listener, PairSecret, StreamAddress } from "../ports/mod.ts";
import { SocketNetwork } from "./stream-server.ts";

const MIB = 2 ** 20;
const KEY = Buffer.alloc(32, 7);
const SECRET: PairSecret = { identity: "north", key: KEY };
const LOOPBACK: StreamAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };
const network = new SocketNetwork({ handshakeTimeoutMs: 300 });

interface Pair {
  readonly dialed: StreamRecorder;
  readonly accepted: StreamRecorder;
  readonly listener: Listener;
}

/** Listens and dials; with `secret` the accepting end knows the key of "north". */
async function dialing(
  address: StreamAddress,
  { secret, withTls = secret !== undefined }: { secret?: PairSecret | undefined; withTls?: boolean } = {},
): Promise<Pair> {
  const accepted = new StreamRecorder();
  const identity = network.pskIdentity((name) => (name === "north" ? KEY : undefined));
  if (withTls) accepted.onOpened = (stream) => stream.startTls(identity);
  const listener = await network.listen(address, () => accepted);
  const dialed = new StreamRecorder();
  network.connect(listener.address, dialed, { timeoutMs: 2_000, secret });
  assert.deepEqual(dialed.events, []);
  return { dialed, accepted, listener };
}

async function closeBoth({ dialed, accepted, listener }: Pair): Promise<void> {
  await dialed.heard("closed");
  await accepted.heard("closed");
  await listener.close();
}

/** A server of plain Node, and how to end it. */
async function serving(each: (socket: Socket) => void): Promise<{ server: Server; address: StreamAddress }> {
  const server = createServer(each);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return { server, address: { kind: "tcp", host: "127.0.0.1", port: bound.port } };
}

async function failureOf(
  address: StreamAddress,
  options: { timeoutMs: number; secret?: PairSecret },
): Promise<StreamRecorder> {
  const recorder = new StreamRecorder();
  network.connect(address, recorder, options);
  await recorder.heard("closed");
  assert.deepEqual(recorder.events, ["closed"]);
  return recorder;
}

function codeOf(error: Error | undefined): string | undefined {
  return error instanceof RopewalkError ? error.code : undefined;
}

for (const kind of ["tcp", "unix"] as const)
  for (const secret of [undefined, SECRET])
    test(`64 MiB go both ways at once to receivers that pause: ${kind}${secret === undefined ? "" : ", TLS"}`, async () => {
      using folder = new TemporaryFolder();
      const address: StreamAddress = kind === "tcp" ? LOOPBACK : { kind: "unix", path: folder.file("s") };
      const pair = await dialing(address, { secret });
      const ends = [pair.dialed, pair.accepted];
      await pair.dialed.heard("opened");
      await pair.accepted.heard(secret === undefined ? "opened" : "secured");
      let pauses = 0;
      for (const end of ends) {
        let unpausedBytes = 0;
        let isPaused = false;
        end.onBytes = (bytes) => {
          assert.equal(isPaused, false);
          checkPlaced(end, bytes);
          unpausedBytes += bytes.length;
          if (unpausedBytes < 2 * MIB) return;
          unpausedBytes = 0;
          pauses++;
          isPaused = true;
          end.stream.pause();
          setTimeout(() => {
            isPaused = false;
            end.stream.resume();
          }, 2);
        };
        sendPlaced(end, 64 * MIB);
      }
      await closeBoth(pair);
      for (const end of ends) {
        assert.equal(end.receivedBytes, 64 * MIB);
        assert.equal(end.error, undefined);
        assert.deepEqual(end.events.slice(-2), ["ended", "closed"]);
      }
      assert.ok(pauses >= 40);
    });

test("a dialed peer is known as an accepted one is", async () => {
  const pair = await dialing(LOOPBACK, { secret: SECRET });
  await pair.dialed.heard("opened");
  const { peer } = pair.dialed.stream;
  assert.equal(peer.kind, "tcp");
  assert.equal(peer.loopback, true);
  assert.ok(pair.listener.address.kind === "tcp");
  assert.equal(peer.description, `127.0.0.1:${pair.listener.address.port}`);
  pair.dialed.stream.destroy();
  await pair.accepted.heard("ended");
  pair.accepted.stream.destroy();
  await closeBoth(pair);
});

test("a wrong key is one clear error at both ends", async () => {
  const pair = await dialing(LOOPBACK, { secret: { identity: "north", key: Buffer.alloc(32, 8) } });
  await closeBoth(pair);
  assert.ok(pair.listener.address.kind === "tcp");
  assert.deepEqual(pair.dialed.events, ["closed"]);
  assert.deepEqual(pair.accepted.events, ["opened", "closed"]);
  assert.equal(codeOf(pair.dialed.error), "UNAUTHORIZED");
  assert.equal(codeOf(pair.accepted.error), "UNAUTHORIZED");
  const what = 'the key of the identity "north" is not the same at both ends';
  assert.equal(pair.dialed.error?.message, `127.0.0.1:${pair.listener.address.port}: ${what}`);
  assert.equal(pair.accepted.error?.message, `the peer: ${what}`);
});

test("an identity that is not known is one clear error at both ends", async () => {
  const pair = await dialing(LOOPBACK, { secret: { identity: "south", key: KEY } });
  await closeBoth(pair);
  assert.deepEqual(pair.accepted.events, ["opened", "closed"]);
  assert.equal(codeOf(pair.dialed.error), "UNAUTHORIZED");
  assert.match(pair.dialed.error?.message ?? "", /: the identity "south" of the shared key is not known$/);
  assert.match(pair.accepted.error?.message ?? "", /^the peer: the identity "south" .* is not known$/);
});

test("a look-up of keys that throws ends that handshake only", async () => {
  const accepted = new StreamRecorder();
  const identity = network.pskIdentity(() => {
    throw new Error("no keys today");
  });
  accepted.onOpened = (stream) => stream.startTls(identity);
  const listener = await network.listen(LOOPBACK, () => accepted);
  const dialed = await failureOf(listener.address, { timeoutMs: 2_000, secret: SECRET });
  assert.equal(codeOf(dialed.error), "UNAUTHORIZED");
  await accepted.heard("closed");
  assert.equal(accepted.error?.message, "no keys today");
  await listener.close();
});

test("a peer that says nothing, leaves or speaks no TLS ends the handshake with an error that says so", async () => {
  const silent = await dialing(LOOPBACK, { withTls: true });
  await silent.accepted.heard("closed");
  assert.equal(silent.accepted.error?.message, "the peer did not finish the TLS handshake in 300 ms");
  silent.dialed.stream.destroy();
  await silent.listener.close();

  const leaving = await dialing(LOOPBACK, { withTls: true });
  await leaving.dialed.heard("opened");
  leaving.dialed.stream.destroy();
  await leaving.accepted.heard("closed");
  assert.equal(leaving.accepted.error?.message, "the peer closed the connection during the TLS handshake");
  assert.deepEqual(leaving.accepted.events, ["opened", "closed"]);
  await leaving.listener.close();

  const plain = await dialing(LOOPBACK, { withTls: true });
  await plain.dialed.heard("opened");
  plain.dialed.stream.write([Buffer.from("GET / HTTP/1.1\r\n\r\n")]);
  await plain.accepted.heard("closed");
  assert.equal(codeOf(plain.accepted.error), "PROTOCOL_ERROR");
  assert.equal(plain.accepted.error?.message, "the peer does not speak TLS with a shared key");
  plain.dialed.stream.destroy();
  await plain.listener.close();
});

test("dialing with a key to what speaks no TLS, or closes, says so", async () => {
  const babbling = await serving((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write("hello? hello? hello?"));
  });
  const first = await failureOf(babbling.address, { timeoutMs: 2_000, secret: SECRET });
  assert.equal(codeOf(first.error), "PROTOCOL_ERROR");
  assert.match(first.error?.message ?? "", /^127\.0\.0\.1:\d+ does not speak TLS with a shared key$/);
  babbling.server.close();
  const closing = await serving((socket) => socket.destroy());
  const second = await failureOf(closing.address, { timeoutMs: 2_000, secret: SECRET });
  assert.equal(codeOf(second.error), "UNREACHABLE");
  assert.match(second.error?.message ?? "", /closed the connection during the TLS handshake$/);
  closing.server.close();
});

test("a listener that never answers TLS is given up after the time", async () => {
  const sockets: Socket[] = [];
  const { server, address } = await serving((socket) => sockets.push(socket));
  const startedMs = performance.now();
  const recorder = await failureOf(address, { timeoutMs: 150, secret: SECRET });
  assert.ok(performance.now() - startedMs >= 149);
  assert.equal(codeOf(recorder.error), "TIMEOUT");
  assert.match(recorder.error?.message ?? "", /the TLS handshake did not end in 150 ms$/);
  for (const socket of sockets) socket.destroy();
  server.close();
});

test("a closed port, a missing socket, an unknown name and an impossible secret are told apart", async () => {
  using folder = new TemporaryFolder();
  const { server, address } = await serving(() => {});
  await new Promise((resolve) => server.close(resolve));
  const cases: [StreamAddress, PairSecret | undefined, string, RegExp][] = [
    [address, undefined, "UNREACHABLE", /^cannot connect to 127\.0\.0\.1:\d+: nobody listens there$/],
    [address, SECRET, "UNREACHABLE", /: nobody listens there$/],
    [{ kind: "unix", path: folder.file("s") }, undefined, "UNREACHABLE", /: there is no such socket$/],
    [
      { kind: "tcp", host: "no such name", port: 1 },
      undefined,
      "UNREACHABLE",
      /: the name (is not known|cannot)/,
    ],
    [{ kind: "tcp", host: "127.0.0.1", port: 70_000 }, undefined, "INVALID_ARGUMENT", /^cannot connect to /],
    [address, { identity: "", key: KEY }, "INVALID_ARGUMENT", /identity/],
    [address, { identity: "north", key: KEY.subarray(1) }, "INVALID_ARGUMENT", /32 bytes long, not 31$/],
  ];
  for (const [place, secret, code, sentence] of cases) {
    const { error } = await failureOf(place, {
      timeoutMs: 5_000,
      ...(secret === undefined ? {} : { secret }),
    });
    assert.equal(codeOf(error), code);
    assert.match(error?.message ?? "", sentence);
  }
});

for (const secret of [undefined, SECRET])
  test(`a cut in mid-transfer closes both ends once${secret === undefined ? "" : ", with TLS too"}`, async () => {
    const pair = await dialing(LOOPBACK, { secret });
    await pair.dialed.heard("opened");
    await pair.accepted.heard(secret === undefined ? "opened" : "secured");
    pair.accepted.onBytes = () => {
      if (pair.accepted.receivedBytes > 4 * MIB) pair.accepted.stream.destroy();
    };
    sendPlaced(pair.dialed, 64 * MIB);
    await closeBoth(pair);
    assert.ok(pair.accepted.receivedBytes < 64 * MIB);
    for (const end of [pair.dialed, pair.accepted])
      assert.equal(end.events.filter((event) => event === "closed").length, 1);
    assert.notEqual(pair.dialed.error, undefined);
  });
