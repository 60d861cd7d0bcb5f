import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServedControl, serveControl } from "../../../test/support/served-control.ts";
import type { CopyJson, CopyWorkJson, ZeroedJson } from "./copy-json.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

async function served(): Promise<ServedControl> {
  const daemon = await serveControl();
  await daemon.control.volumes.create({ name: "v", sizeBytes: 4 * MIB });
  return daemon;
}

/** Lets writes to the pool's volumes wait until `open` is called. */
function gateGrafts({ pool }: ServedControl): { entered: Promise<void>; open: () => void } {
  const [entered, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const graft = pool.graft.bind(pool);
  pool.graft = async (options) => {
    entered.resolve();
    await gate.promise;
    return graft(options);
  };
  return { entered: entered.promise, open: gate.resolve };
}

test("a copy answers when it is finished, with the fields relied upon", async () => {
  await using daemon = await served();
  const { status, json } = await daemon.call("POST", "/api/v1/copies", { source: "v", destination: "w" });
  assert.equal(status, 200);
  const { elapsedMs, ...copied } = json as CopyJson;
  assert.deepEqual(copied, { bytes: 4 * MIB, bytesMoved: 0, bytesPlain: 0 });
  assert.ok(elapsedMs > 0);
  assert.equal(daemon.control.volumes.show("w").sizeBytes, 4 * MIB);
});

test("a copy that takes longer has a number, by which it is watched and cancelled", async () => {
  await using daemon = await served();
  await daemon.control.volumes.create({ name: "large", sizeBytes: 4 * GIB });
  const gate = gateGrafts(daemon);
  const body = { source: "large", destination: "w" };
  const started = await daemon.call("POST", "/api/v1/copies?waitSeconds=0.01", body);
  assert.equal(started.status, 202);
  const { id, ...work } = started.json as CopyWorkJson;
  assert.deepEqual([work.source, work.destination, work.state], ["large", "w", "running"]);
  await gate.entered;
  const watched = (await daemon.call("GET", `/api/v1/copies/${id}?waitSeconds=0.01`)).json as CopyWorkJson;
  assert.deepEqual(watched.progress, { bytes: 0, bytesExpected: 4 * GIB, bytesMoved: 0, bytesPlain: 0 });
  const waiting = daemon.call("GET", `/api/v1/copies/${id}?waitSeconds=60`);
  const cancelling = daemon.call("DELETE", `/api/v1/copies/${id}`);
  // The cancel is at the daemon before the gate opens.
  await daemon.call("GET", "/api/v1/copies");
  gate.open();
  const cancelled = (await cancelling).json as CopyWorkJson;
  assert.equal(cancelled.state, "cancelled");
  assert.match(cancelled.error!.message, / 1073741824 of 4294967296 bytes were copied and stay\.$/);
  assert.equal(((await waiting).json as CopyWorkJson).state, "cancelled");
  const list = (await daemon.call("GET", "/api/v1/copies")).json as CopyWorkJson[];
  assert.deepEqual(
    list.map((copy) => [copy.id, copy.state]),
    [[id, "cancelled"]],
  );
});

test("what cannot be copied or zeroed is refused with its code", async () => {
  await using daemon = await served();
  for (const [path, body, status, code] of [
    ["copies", { source: "v", destination: "v" }, 400, "INVALID_RANGE"],
    ["copies", { source: "none", destination: "w" }, 404, "VOLUME_NOT_FOUND"],
    ["copies", { source: "v", destination: "w", lengthBytes: 0 }, 400, "INVALID_RANGE"],
    ["copies", { source: "v", destination: "w", toOffsetBytes: -1 }, 400, "INVALID_RANGE"],
    ["copies", { source: "v", destination: "W" }, 400, "INVALID_NAME"],
    ["copies", { source: "v" }, 400, "INVALID_ARGUMENT"],
    ["volumes/none/zero", {}, 404, "VOLUME_NOT_FOUND"],
    ["volumes/v/zero", { lengthBytes: 5 * MIB }, 400, "INVALID_RANGE"],
    ["volumes/v@s/zero", {}, 400, "INVALID_NAME"],
  ] as const) {
    const answer = await daemon.call("POST", `/api/v1/${path}`, body);
    const { code: given } = answer.json as { code: string };
    assert.deepEqual([answer.status, given], [status, code], JSON.stringify(body));
  }
  assert.equal((await daemon.call("GET", "/api/v1/copies/1")).status, 404);
  assert.equal((await daemon.call("DELETE", "/api/v1/copies/x")).status, 400);
  assert.equal(daemon.control.volumes.list().length, 1);
});

test("zeroing says how much it zeroed", async () => {
  await using daemon = await served();
  for (const [body, bytes] of [
    [{}, 4 * MIB],
    [{ offsetBytes: MIB }, 3 * MIB],
    [{ offsetBytes: 1000, lengthBytes: 77 }, 77],
  ] as const) {
    const { status, json } = await daemon.call("POST", "/api/v1/volumes/v/zero", body);
    assert.equal(status, 200);
    assert.equal((json as ZeroedJson).bytes, bytes);
    assert.ok((json as ZeroedJson).elapsedMs > 0);
  }
});
