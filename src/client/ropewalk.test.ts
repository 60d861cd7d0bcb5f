import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { type ServedControl, serveControl, stageScrub } from "../../test/support/served-control.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { connectThrough, type Ropewalk } from "./mod.ts";

const MIB = 2 ** 20;
const readText = (path: string) => readFile(path, "utf8");

function connectTo({ url, key }: { url: string; key: string }): Promise<Ropewalk> {
  return connectThrough(readText, { url, key });
}

async function all<Element>(elements: AsyncIterable<Element>): Promise<Element[]> {
  const list: Element[] = [];
  for await (const element of elements) list.push(element);
  return list;
}

/** A server that answers everything with `body`. */
async function answering(body: string, status = 200) {
  const server = createServer((_request, response) => void response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, key: "k", [Symbol.dispose]: () => void server.close() };
}

test("every call does at the daemon what it says", async () => {
  await using daemon = await serveControl();
  const ropewalk = await connectTo(daemon);
  const volume = await ropewalk.volumes.create({ name: "v", sizeBytes: MIB });
  assert.deepEqual(await ropewalk.volumes.show("v"), volume);
  assert.deepEqual(await ropewalk.volumes.list(), [volume]);
  assert.equal((await ropewalk.volumes.resize("v", 2 * MIB)).sizeBytes, 2 * MIB);
  const snapshot = await ropewalk.snapshots.create("v", "s");
  assert.deepEqual(await ropewalk.snapshots.show("v", "s"), snapshot);
  assert.deepEqual(await ropewalk.snapshots.list(), [snapshot]);
  assert.deepEqual(await ropewalk.snapshots.list("v"), [snapshot]);
  assert.equal((await ropewalk.volumes.clone({ source: "v", snapshot: "s", name: "c" })).origin, "v@s");
  assert.equal((await ropewalk.volumes.detach("c")).origin, null);
  assert.equal((await ropewalk.snapshots.rollback("v", "s")).name, "v");
  assert.deepEqual(await all(ropewalk.snapshots.difference({ volume: "v", from: "s" })), []);
  assert.equal((await ropewalk.status()).volumes, 2);
  assert.equal((await ropewalk.changePool({ sizeBytes: 2 ** 30 })).sizeBytes, 2 ** 30);
  assert.equal((await ropewalk.scrub()).errors, 0);
  assert.equal((await ropewalk.collect({ ratio: 1.5 })).liveBytes, 0);
  await ropewalk.snapshots.delete("v", "s");
  await ropewalk.volumes.delete("v");
  assert.equal((await ropewalk.volumes.list()).length, 1);
});

test("the daemon's refusals keep their codes and sentences", async () => {
  await using daemon = await serveControl();
  const ropewalk = await connectTo(daemon);
  await assert.rejects(ropewalk.volumes.show("none"), { code: "VOLUME_NOT_FOUND", message: /none/ });
  await assert.rejects(ropewalk.volumes.create({ name: "v", sizeBytes: 1 }), { code: "INVALID_SIZE" });
  await assert.rejects(all(ropewalk.snapshots.difference({ volume: "none", from: "s" })), {
    code: "VOLUME_NOT_FOUND",
  });
  const stranger = await connectTo({ url: daemon.url, key: "wrong" });
  await assert.rejects(stranger.status(), { code: "UNAUTHORIZED" });
});

test("a name that would change a call's path never leaves the client", async () => {
  await using daemon = await serveControl();
  const ropewalk = await connectTo(daemon);
  for (const name of ["", ".", "..", "v/snapshots/s", "v?x", "v#x", "%2e%2e", "v@s"]) {
    await assert.rejects(ropewalk.volumes.delete(name), { code: "INVALID_NAME" }, name);
    await assert.rejects(ropewalk.snapshots.rollback("v", name), { code: "INVALID_NAME" }, name);
  }
});

test("a difference of very many ranges is read as it arrives", async () => {
  await using daemon = await serveControl();
  const ropewalk = await connectTo(daemon);
  const count = await differenceOf(daemon, ropewalk, 50_000, false);
  assert.equal(count, 50_000);
});

test("a difference that breaks off is an error, never a shorter list", async () => {
  await using daemon = await serveControl();
  const ropewalk = await connectTo(daemon);
  await assert.rejects(differenceOf(daemon, ropewalk, 50_000, true), { code: "UNREACHABLE" });
  for (const body of ["[", '[\n{"offsetBytes":0}', "", "<html>", "[{]", "[{}x"]) {
    using server = await answering(body);
    const other = await connectTo(server);
    const differences = all(other.snapshots.difference({ volume: "v", from: "s" }));
    await assert.rejects(differences, { code: "PROTOCOL_ERROR" }, body);
  }
});

async function differenceOf(daemon: ServedControl, ropewalk: Ropewalk, count: number, breaksOff: boolean) {
  await ropewalk.volumes.create({ name: "v", sizeBytes: MIB });
  await ropewalk.snapshots.create("v", "s");
  daemon.pool.difference = async function* () {
    for (let index = 0; index < count; index++)
      yield { offsetBytes: index * 8192, lengthBytes: 4096, kind: "data" as const };
    if (breaksOff) throw new Error("the disk is gone");
  };
  let received = 0;
  for await (const { offsetBytes } of ropewalk.snapshots.difference({ volume: "v", from: "s" }))
    assert.equal(offsetBytes, received++ * 8192);
  return received;
}

test("cancelling a scrub stops it at the daemon", async () => {
  await using daemon = await serveControl();
  stageScrub(daemon.pool, { gate: new Promise(() => {}), damage: ["one"] });
  const ropewalk = await connectTo(daemon);
  const abort = new AbortController();
  const seen: number[] = [];
  const scrub = ropewalk.scrub({
    signal: abort.signal,
    onProgress: ({ errors }) => {
      seen.push(errors);
      abort.abort();
    },
  });
  await assert.rejects(scrub, { code: "CANCELLED" });
  assert.deepEqual(seen, [1]);
  assert.equal(daemon.control.scrub.report().state, "cancelled");
});

test("the data directory says where the daemon is and has the key", async () => {
  await using daemon = await serveControl();
  using folder = new TemporaryFolder();
  await assert.rejects(connectThrough(readText, { dataDirectory: folder.path }), {
    code: "UNREACHABLE",
    message: /No daemon runs on .*ropewalk serve/,
  });
  await writeFile(folder.file("endpoints.json"), "not ours");
  await writeFile(folder.file("admin.key"), `${daemon.key}\n`);
  await assert.rejects(connectThrough(readText, { dataDirectory: folder.path }), { code: "UNREACHABLE" });
  await writeFile(folder.file("endpoints.json"), JSON.stringify({ pid: 1, http: [], url: daemon.url }));
  for (const options of [{}, { url: daemon.url }, { key: daemon.key }]) {
    const ropewalk = await connectThrough(readText, { dataDirectory: folder.path, ...options });
    assert.equal((await ropewalk.status()).version, "1.2.3");
  }
  await assert.rejects(connectThrough(readText, { url: daemon.url }), { code: "INVALID_ARGUMENT" });
  await assert.rejects(connectThrough(readText, {}), { code: "INVALID_ARGUMENT" });
});

test("a daemon that is not there is UNREACHABLE, something else in its place a PROTOCOL_ERROR", async () => {
  const daemon = await serveControl();
  await daemon[Symbol.asyncDispose]();
  await assert.rejects((await connectTo(daemon)).status(), { code: "UNREACHABLE", message: /ECONNREFUSED/ });
  await assert.rejects(connectTo({ url: "nowhere", key: "k" }), { code: "INVALID_ARGUMENT" });
  for (const [body, status] of [
    ["hello", 200],
    ["hello", 404],
    ['{"code":"STRANGE","message":"m"}', 500],
    ["null", 500],
  ] as const) {
    using server = await answering(body, status);
    await assert.rejects((await connectTo(server)).status(), { code: "PROTOCOL_ERROR" }, body);
  }
});
