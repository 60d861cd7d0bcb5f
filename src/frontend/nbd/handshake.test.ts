// The handshake as a client sees it, option by option, spoken by a client that shares no code with the server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { contextData, goData, type NbdClient, u32 } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";

const SIZE = 1024 * 1024;

async function serve(device = new ObservedDevice({ sizeBytes: SIZE }), limits = {}) {
  const depth = { name: "qemu:allocation-depth", query: async () => [{ lengthBytes: SIZE, flags: 0 }] };
  const dirty = { name: "qemu:dirty-bitmap:monday", query: async () => [{ lengthBytes: SIZE, flags: 1 }] };
  const served = { device, description: "first", contexts: [depth, dirty] };
  return await NbdTestServer.start({ exports: { one: served, "two@snap": { device } }, limits });
}

async function greeted(server: NbdTestServer): Promise<NbdClient> {
  const client = await server.connect();
  assert.equal(await client.greet(), 3);
  return client;
}

test("LIST names every export with its description", async () => {
  await using server = await serve();
  using client = await greeted(server);
  const { outcome, replies } = await client.option(3);
  assert.equal(outcome, "ACK");
  const texts = replies.slice(0, -1).map(({ data }) => data.subarray(4).toString());
  assert.deepEqual(texts, ["onefirst", "two@snap"]);
});

test("LIST with data is refused and the next option is understood", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(3, Buffer.from("x"))).outcome, "ERR_INVALID");
  assert.equal((await client.option(3)).outcome, "ACK");
});

test("an unknown option is refused and its data consumed", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(4711, Buffer.alloc(3000, 7))).outcome, "ERR_UNSUP");
  assert.equal((await client.option(4, Buffer.alloc(0))).outcome, "ERR_UNSUP");
  assert.equal(await client.go("one"), "ACK");
});

test("INFO tells size, flags, name, description and block sizes and leaves the handshake open", async () => {
  await using server = await serve();
  using client = await greeted(server);
  const { outcome, replies } = await client.option(6, goData("one", [1, 2, 3, 4711]));
  assert.equal(outcome, "ACK");
  const infos = new Map(replies.slice(0, -1).map(({ data }) => [data.readUInt16BE(0), data.subarray(2)]));
  assert.equal(infos.get(0)?.readBigUInt64BE(0), BigInt(SIZE));
  assert.equal(infos.get(1)?.toString(), "one");
  assert.equal(infos.get(2)?.toString(), "first");
  assert.deepEqual(
    [0, 4, 8].map((at) => infos.get(3)?.readUInt32BE(at)),
    [1, 4096, 32 * 1024 * 1024],
  );
  assert.equal(await client.go("one"), "ACK");
});

test("the flags that an export advertises follow from its device and from what was negotiated", async () => {
  const readOnly = new ObservedDevice({
    sizeBytes: SIZE,
    capabilities: { writable: false, sharedFlush: false },
  });
  const plain = new ObservedDevice({
    sizeBytes: SIZE,
    capabilities: { fua: "absent", trim: "absent", fastZero: "absent", sharedFlush: false, rotational: true },
  });
  await using server = await NbdTestServer.start({
    exports: {
      full: { device: new ObservedDevice({ sizeBytes: SIZE }) },
      readOnly: { device: readOnly },
      plain: { device: plain },
    },
  });
  const flagsOf = async (name: string, mode: "simple" | "structured" | "extended") => {
    using client = await server.open(name, mode);
    return client.transmissionFlags;
  };
  assert.equal(await flagsOf("full", "simple"), 0b0_1101_0110_1101);
  assert.equal(await flagsOf("full", "structured"), 0b0_1101_1110_1101);
  assert.equal(await flagsOf("full", "extended"), 0b1_1101_1110_1101);
  assert.equal(await flagsOf("readOnly", "simple"), 0b0_0101_0000_0111);
  assert.equal(await flagsOf("plain", "simple"), 0b0_0100_0101_0101);
});

test("GO for an export that does not exist is refused and another may follow", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal(await client.go("three"), "ERR_UNKNOWN");
  assert.equal(await client.go("two@snap"), "ACK");
});

test("EXPORT_NAME enters with 124 zeroes unless the client does without them", async () => {
  await using server = await serve();
  for (const [flags, bytes] of [
    [1, 134],
    [3, 10],
  ] as const) {
    using client = await server.connect();
    await client.greet(flags);
    client.sendOption(1, Buffer.from("one"));
    const answer = await client.bytes(bytes);
    assert.equal(answer.readBigUInt64BE(0), BigInt(SIZE));
    assert.equal(
      answer.subarray(10).every((byte) => byte === 0),
      true,
    );
    assert.equal((await client.ask({ type: 3 })).errno, 0);
  }
});

test("EXPORT_NAME for an export that does not exist closes the connection", async () => {
  await using server = await serve();
  using client = await greeted(server);
  client.sendOption(1, Buffer.from("three"));
  await client.untilClosed();
  assert.equal(client.unreadBytes, 0);
});

test("ABORT is acknowledged, whatever its data, and ends the connection", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(2, Buffer.from("bye"))).outcome, "ACK");
  await client.untilClosed();
});

test("a handshake flag that was not offered ends the connection", async () => {
  await using server = await serve();
  using client = await server.connect();
  await client.greet(0x80000001);
  await client.untilClosed();
});

test("an option without IHAVEOPT ends the connection", async () => {
  await using server = await serve();
  using client = await greeted(server);
  client.send(Buffer.concat([Buffer.from("IHAVEOPS"), u32(3), u32(0)]));
  await client.untilClosed();
});

test("option data that is too long is skipped and refused, and without bounds it ends the connection", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(6, Buffer.alloc(200_000))).outcome, "ERR_TOO_BIG");
  assert.equal((await client.option(3)).outcome, "ACK");
  client.send(Buffer.concat([Buffer.from("IHAVEOPT"), u32(6), u32(0xffff_ffff)]));
  await client.untilClosed();
});

test("names that are too long, not UTF-8 or contain NUL are refused", async () => {
  await using server = await serve();
  using client = await greeted(server);
  const named = (name: Buffer) => Buffer.concat([u32(name.length), name, Buffer.alloc(2)]);
  for (const name of [Buffer.alloc(4097, 97), Buffer.from([0xff, 0xfe]), Buffer.from("a\0b")])
    assert.equal((await client.option(6, named(name))).outcome, "ERR_INVALID");
  assert.equal((await client.option(6, named(Buffer.alloc(4096, 97)))).outcome, "ERR_UNKNOWN");
});

test("lengths inside an option that do not agree with its data are refused", async () => {
  await using server = await serve();
  using client = await greeted(server);
  const wrong = [
    Buffer.alloc(0),
    Buffer.from([0, 0, 0, 9, 97]),
    Buffer.concat([goData("one", [3]), Buffer.alloc(1)]),
    Buffer.concat([goData("one", []).subarray(0, -2), Buffer.from([0, 2, 0, 3])]),
  ];
  for (const data of wrong) assert.equal((await client.option(7, data)).outcome, "ERR_INVALID");
  assert.equal(await client.go("one"), "ACK");
});

test("meta contexts want structured replies first", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(10, contextData("one", ["base:allocation"]))).outcome, "ERR_INVALID");
  assert.equal((await client.option(9, contextData("one", []))).outcome, "ERR_INVALID");
});

test("LIST_META_CONTEXT lists all without a query, and by wildcards", async () => {
  await using server = await serve();
  using client = await greeted(server);
  await client.negotiate("structured");
  const all = ["base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:monday"];
  assert.deepEqual(await client.listContexts("one", []), all);
  assert.deepEqual(await client.listContexts("one", ["base:"]), all.slice(0, 1));
  assert.deepEqual(await client.listContexts("one", ["qemu:"]), all.slice(1));
  assert.deepEqual(await client.listContexts("one", ["qemu:dirty-bitmap:"]), all.slice(2));
  assert.deepEqual(await client.listContexts("one", ["x-other:thing", "base:unknown"]), []);
  assert.equal((await client.option(9, contextData("three", []))).outcome, "ERR_UNKNOWN");
});

test("SET_META_CONTEXT takes exact names only, and an empty one selects nothing", async () => {
  await using server = await serve();
  using client = await greeted(server);
  await client.negotiate("structured");
  const granted = await client.setContexts("one", [
    "qemu:dirty-bitmap:monday",
    "base:",
    "x:y",
    "base:allocation",
  ]);
  assert.deepEqual([...granted.keys()], ["base:allocation", "qemu:dirty-bitmap:monday"]);
  assert.equal((await client.setContexts("one", [])).size, 0);
  assert.equal(await client.go("one"), "ACK");
  assert.equal((await client.ask({ type: 7, length: 4096 })).errno, 22);
});

test("a SET_META_CONTEXT that fails takes back the one before", async () => {
  await using server = await serve();
  using client = await greeted(server);
  await client.negotiate("structured");
  assert.equal((await client.setContexts("one", ["base:allocation"])).size, 1);
  assert.equal((await client.option(10, Buffer.from([1]))).outcome, "ERR_INVALID");
  assert.equal(await client.go("one"), "ACK");
  assert.equal((await client.ask({ type: 7, length: 4096 })).errno, 22);
});

test("contexts chosen for one export are void when GO names another", async () => {
  await using server = await serve();
  using client = await greeted(server);
  await client.negotiate("structured");
  assert.equal((await client.setContexts("one", ["base:allocation"])).size, 1);
  assert.equal(await client.go("two@snap"), "ACK");
  assert.equal((await client.ask({ type: 7, length: 4096 })).errno, 22);
});

test("after extended headers structured replies are refused and EXPORT_NAME closes", async () => {
  await using server = await serve();
  using client = await greeted(server);
  assert.equal((await client.option(8)).outcome, "ACK");
  assert.equal((await client.option(11)).outcome, "ACK");
  assert.equal((await client.option(8)).outcome, "ERR_EXT_HEADER_REQD");
  assert.equal((await client.option(11, Buffer.from("x"))).outcome, "ERR_INVALID");
  client.sendOption(1, Buffer.from("one"));
  await client.untilClosed();
});

test("a device with larger blocks wants the client to ask for block sizes", async () => {
  await using server = await serve(
    new ObservedDevice({ sizeBytes: SIZE, geometry: { minimumBlockBytes: 512 } }),
  );
  using client = await greeted(server);
  assert.equal(await client.go("one", []), "ERR_BLOCK_SIZE_REQD");
  assert.equal(await client.go("one", [3]), "ACK");
  using careless = await greeted(server);
  careless.sendOption(1, Buffer.from("one"));
  await careless.untilClosed();
});

test("more options than the limit end the connection", async () => {
  await using server = await serve(undefined, { optionsMax: 10 });
  using client = await greeted(server);
  for (let count = 0; count < 10; count++) assert.equal((await client.option(99)).outcome, "ERR_UNSUP");
  client.sendOption(99);
  await client.untilClosed();
});

test("connecting alone opens no export (CVE-2019-14850)", async () => {
  await using server = await serve();
  using client = await greeted(server);
  await client.option(3);
  assert.deepEqual(server.opened, []);
});

test("INFO twice, then GO, opens and closes the export in balance (CVE-2019-14851)", async () => {
  const device = new ObservedDevice({ sizeBytes: SIZE });
  await using server = await serve(device);
  {
    using client = await greeted(server);
    await client.negotiate("structured");
    await client.option(6, goData("one", []));
    await client.option(6, goData("two@snap", []));
    await client.setContexts("one", ["base:allocation"]);
    await client.option(6, goData("one", []));
    assert.equal(await client.go("one"), "ACK");
    assert.equal((await client.ask({ type: 7, length: 4096 })).errno, 0);
  }
  await server.server.close();
  assert.equal(device.closings, server.opened.length);
});

test("a client that leaves while its export is being opened leaves nothing open", async () => {
  const device = new ObservedDevice({ sizeBytes: SIZE });
  await using server = await NbdTestServer.start({ exports: { one: { device } }, openMs: 50 });
  {
    using client = await greeted(server);
    client.sendOption(7, goData("one", []));
    while (server.opened.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await server.server.close();
  assert.equal(device.closings, 1);
});

test("requests may follow GO before its answer", async () => {
  await using server = await serve();
  using client = await greeted(server);
  client.sendOption(7, goData("one", []));
  client.request({ type: 3 });
  assert.equal((await client.answer(7)).outcome, "ACK");
  assert.equal((await client.reply()).errno, 0);
});
