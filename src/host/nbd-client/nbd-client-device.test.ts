import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { killAtExit } from "../../../test/support/leftovers.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { needs } from "../../../test/support/needs.ts";
import { TemporaryFolder } from "../../../test/support/temporary-folder.ts";
import { checkDevice, MemoryDevice, RequestFlag } from "../../device/mod.ts";
import { openNbdClientDevice } from "./nbd-client-device.ts";

const folder = new TemporaryFolder();
/** What a failed test would leave running. */
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  folder[Symbol.dispose]();
});
let sockets = 0;

/** The file of a socket is there before its server listens. */
function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** A foreign server on a socket of its own, until `stop`. */
async function foreign(program: string, parameters: (socket: string) => string[], exportName = "") {
  const socket = folder.file(`socket${sockets++}`);
  const child = spawn(program, parameters(socket), { stdio: ["ignore", "ignore", "pipe"] });
  const forget = killAtExit(child.pid!);
  children.add(child);
  let printed = "";
  child.stderr.on("data", (text: Buffer) => {
    printed += text.toString();
  });
  for (let attempt = 0; !(await isListening(socket)); attempt++) {
    if (child.exitCode !== null || attempt > 500) throw new Error(`${program} did not start: ${printed}`);
    await delay(10);
  }
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    const ended = new Promise<void>((done) => child.once("close", () => done()));
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await ended;
    }
    forget();
  };
  return { uri: `nbd+unix:///${exportName}?socket=${socket}`, socket, stop };
}

function nbdkit(...rest: string[]) {
  return foreign("nbdkit", (socket) => ["-f", "-U", socket, ...rest]);
}

/** The conformance suite on a server that each device gets for itself. */
function conformance(
  name: string,
  start: (sizeBytes: number) => Promise<{ uri: string; stop: () => Promise<void> }>,
  sizeBytes?: number,
): void {
  testBlockDevice(name, {
    runs: 4,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    trimReadsAsAnything: true,
    open: async (size) => {
      const server = await start(size);
      const device = await openNbdClientDevice(server.uri);
      const close = device.close.bind(device);
      device.close = async () => {
        await close();
        await server.stop();
      };
      return checkDevice(device);
    },
  });
}

if (needs("nbdkit").skip === false) {
  conformance("an export of nbdkit's memory", (sizeBytes) => nbdkit("memory", String(sizeBytes)));
  conformance("an export of nbdkit's files", async (sizeBytes) => {
    const path = folder.file(`file${sockets}`);
    writeFileSync(path, "");
    truncateSync(path, sizeBytes);
    return await nbdkit("file", path);
  });
}

if (needs("qemu-nbd").skip === false) {
  conformance(
    "an export of qemu-nbd",
    async (sizeBytes) => {
      const path = folder.file(`raw${sockets}`);
      writeFileSync(path, "");
      truncateSync(path, sizeBytes);
      return await foreign(
        "qemu-nbd",
        (socket) => ["-k", socket, "-f", "raw", "--discard=unmap", "-t", "-x", "disk", path],
        "disk",
      );
    },
    40 * 4096,
  );
}

test("an export of our own server is served like any", async () => {
  const memory = new MemoryDevice({ sizeBytes: 1 << 20, geometry: { minimumBlockBytes: 512 } });
  const server = await NbdTestServer.start({ exports: { disk: { device: memory } } });
  const device = await openNbdClientDevice(server.uri("disk"));
  assert.equal(device.sizeBytes, 1 << 20);
  assert.equal(device.geometry.minimumBlockBytes, 512);
  await device.write(512, Buffer.alloc(4096, 5), RequestFlag.fua);
  const bytes = Buffer.alloc(8192);
  await device.read(0, bytes);
  assert.deepEqual(bytes, Buffer.concat([Buffer.alloc(512), Buffer.alloc(4096, 5), Buffer.alloc(3584)]));
  assert.deepEqual(
    (await device.extents(0, 1 << 20, 10)).map(({ kind }) => kind),
    ["data", "hole"],
  );
  await device.flush();
  await device.close();
  const tcp = await openNbdClientDevice(`nbd://127.0.0.1:${server.port}/disk`);
  await tcp.close();
  await server[Symbol.asyncDispose]();
});

test("an export that is not there is NOT_FOUND; a server that is not there IO_ERROR", async () => {
  await using server = await NbdTestServer.start({ exports: {} });
  await assert.rejects(openNbdClientDevice(server.uri("absent")), { code: "NOT_FOUND" });
  await assert.rejects(openNbdClientDevice(`nbd+unix:///x?socket=${folder.file("nobody")}`), {
    code: "IO_ERROR",
  });
});

test("a server without structured replies is read with simple ones", needs("nbdkit"), async () => {
  const server = await nbdkit("--no-sr", "memory", "1M");
  const device = await openNbdClientDevice(server.uri);
  assert.equal(device.capabilities.extents, "absent");
  await device.write(100, Buffer.from("hello"), RequestFlag.none);
  const bytes = Buffer.alloc(5);
  await device.read(100, bytes);
  assert.equal(bytes.toString(), "hello");
  await device.close();
  await server.stop();
});

test("a server's own limits become the device's", needs("nbdkit"), async () => {
  const server = await nbdkit(
    "--filter=blocksize-policy",
    "memory",
    "1M",
    "blocksize-minimum=4096",
    "blocksize-preferred=64K",
    "blocksize-maximum=128K",
    "blocksize-error-policy=error",
  );
  const device = await openNbdClientDevice(server.uri);
  assert.deepEqual(device.geometry, {
    minimumBlockBytes: 4096,
    preferredBlockBytes: 65_536,
    maximumRequestBytes: 131_072,
  });
  await device.close();
  await server.stop();
});

test("an error of one request is that request's alone", needs("nbdkit"), async () => {
  const server = await nbdkit("--filter=error", "memory", "1M", "error-pwrite=ENOSPC", "error-pwrite-rate=1");
  const device = await openNbdClientDevice(server.uri);
  const write = device.write(0, Buffer.alloc(512), 0) as Promise<void>;
  const read = device.read(0, Buffer.alloc(512));
  await assert.rejects(write, { code: "NO_SPACE" });
  await read;
  await device.close();
  await server.stop();
});

/** nbdkit that can be killed and started anew on the same socket and file. */
async function restartable() {
  const path = folder.file(`kept${sockets}`);
  writeFileSync(path, Buffer.alloc(65_536, 3));
  const server = await nbdkit("file", path);
  return {
    uri: server.uri,
    stop: () => server.stop("SIGKILL"),
    restart: async () => {
      rmSync(server.socket, { force: true });
      return await startFileServer(server.socket, path);
    },
  };
}

/** Resolves with how to stop it. */
async function startFileServer(socket: string, path: string) {
  const child = spawn("nbdkit", ["-f", "-U", socket, "file", path], { stdio: "ignore" });
  const forget = killAtExit(child.pid!);
  children.add(child);
  while (!(await isListening(socket))) await delay(10);
  return async (): Promise<void> => {
    const ended = new Promise<void>((done) => child.once("close", () => done()));
    child.kill();
    await ended;
    forget();
  };
}

test("a request that finds the server restarted is done on a new connection", needs("nbdkit"), async () => {
  const server = await restartable();
  const device = await openNbdClientDevice(server.uri);
  await server.stop();
  await delay(20);
  await assert.rejects(device.read(0, Buffer.alloc(10)) as Promise<void>, { code: "IO_ERROR" });
  const stop = await server.restart();
  const bytes = Buffer.alloc(10);
  await Promise.all([device.read(0, bytes), device.read(100, Buffer.alloc(10))]);
  assert.deepEqual(bytes, Buffer.alloc(10, 3));
  await device.close();
  await stop();
});

test(
  "when writes were not flushed before the loss, the next request and the next flush fail",
  needs("nbdkit"),
  async () => {
    const server = await restartable();
    const device = await openNbdClientDevice(server.uri);
    await device.write(0, Buffer.alloc(10, 1), 0);
    await device.flush();
    await device.write(0, Buffer.alloc(10, 2), 0);
    await server.stop();
    const stop = await server.restart();
    await delay(20);
    const lost = { code: "IO_ERROR", message: /before writes were flushed/ };
    await assert.rejects(device.read(0, Buffer.alloc(10)) as Promise<void>, lost);
    await device.read(0, Buffer.alloc(10));
    await assert.rejects(device.flush() as Promise<void>, lost);
    await device.flush();
    await device.close();
    await stop();
  },
);

/** A server that sends what a test wants: `answer` gets each thing that arrives. */
async function scripted(answer: (socket: Socket, bytes: Buffer, count: number) => void) {
  const path = folder.file(`socket${sockets++}`);
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    let count = 0;
    socket.write("NBDMAGICIHAVEOPT\0\x03");
    socket.on("data", (bytes: Buffer) => answer(socket, bytes, count++));
  });
  await new Promise<void>((done) => server.listen(path, done));
  return {
    uri: `nbd+unix:///?socket=${path}`,
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

test("a server that says nothing is given up after the time for the handshake", async () => {
  const server = await scripted(() => {});
  await assert.rejects(openNbdClientDevice(server.uri, { handshakeTimeoutMs: 50 }), { code: "TIMEOUT" });
  await server.stop();
});

test("bytes that are no reply are refused, in the handshake", async () => {
  const server = await scripted((socket) => socket.write(Buffer.alloc(100, 0x61)));
  await assert.rejects(openNbdClientDevice(server.uri), { code: "PROTOCOL_ERROR" });
  await server.stop();
});

/** Shakes hands without structured replies, then answers requests as `reply` says. */
function plainServer(reply: (request: Buffer) => Buffer | undefined) {
  return scripted((socket, bytes) => {
    if (bytes.readUInt32BE(0) === 0x25609513) {
      const answer = reply(bytes);
      if (answer !== undefined) socket.write(answer);
      return;
    }
    const at = bytes.indexOf("IHAVEOPT");
    if (at < 0) return;
    const option = bytes.readUInt32BE(at + 8);
    const optionReply = (type: number, data = Buffer.alloc(0)): Buffer => {
      const header = Buffer.from("0003e889045565a9000000000000000000000000", "hex");
      header.writeUInt32BE(option, 8);
      header.writeUInt32BE(type, 12);
      header.writeUInt32BE(data.length, 16);
      return Buffer.concat([header, data]);
    };
    if (option === 8) socket.write(optionReply(0x80000001));
    else {
      const info = Buffer.alloc(12);
      info.writeBigUInt64BE(65_536n, 2);
      info.writeUInt16BE(1 | 4, 10);
      socket.write(Buffer.concat([optionReply(3, info), optionReply(1)]));
    }
  });
}

test("a reply that does not come in time ends the connection with TIMEOUT", async () => {
  const server = await plainServer(() => undefined);
  const device = await openNbdClientDevice(server.uri, { requestTimeoutMs: 60, reconnectsMax: 0 });
  await assert.rejects(device.read(0, Buffer.alloc(10)) as Promise<void>, { code: "TIMEOUT" });
  await device.close();
  await server.stop();
});

test("replies that do not fit their requests are IO_ERROR and never reach a target", async () => {
  for (const [name, reply] of Object.entries({
    "another magic": () => Buffer.alloc(64, 0x62),
    "another cookie": () => Buffer.from(`67446698${"00000000"}${"00000000deadbeef"}`, "hex"),
    "a chunk without agreement": (request: Buffer) =>
      Buffer.concat([Buffer.from("668e33ef00010000", "hex"), request.subarray(8, 16), Buffer.alloc(4)]),
  })) {
    const server = await plainServer(reply);
    const device = await openNbdClientDevice(server.uri, { reconnectsMax: 0 });
    const target = Buffer.alloc(10, 1);
    const code = "IO_ERROR";
    await assert.rejects(
      device.read(0, target) as Promise<void>,
      { code, message: /broke the protocol/ },
      name,
    );
    assert.deepEqual(target, Buffer.alloc(10, 1));
    await device.close();
    await server.stop();
  }
});
