import assert from "node:assert/strict";
import { test } from "node:test";
import { serveControl } from "../../../test/support/served-control.ts";

const BLOCK_BYTES = 4096;

async function servedVolume() {
  const daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: 2 ** 20 });
  return daemon;
}

test("a snapshot is taken, shown, listed, rolled back to and deleted", async () => {
  await using daemon = await servedVolume();
  const taken = await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  assert.equal(taken.status, 201);
  assert.equal((taken.json as { volume: string }).volume, "v");
  assert.deepEqual((await daemon.call("GET", "/api/v1/volumes/v/snapshots/s")).json, taken.json);
  assert.deepEqual((await daemon.call("GET", "/api/v1/volumes/v/snapshots")).json, [taken.json]);
  assert.deepEqual((await daemon.call("GET", "/api/v1/snapshots")).json, [taken.json]);
  const volume = await daemon.call("POST", "/api/v1/volumes/v/snapshots/s/rollback");
  assert.equal((volume.json as { snapshots: number }).snapshots, 1);
  assert.equal((await daemon.call("DELETE", "/api/v1/volumes/v/snapshots/s")).status, 204);
  assert.deepEqual((await daemon.call("GET", "/api/v1/volumes/v/snapshots")).json, []);
});

test("the difference is a JSON array of ranges with what the newer side holds", async () => {
  await using daemon = await servedVolume();
  const device = daemon.control.exports.open("v");
  await device.write(0, new Uint8Array(BLOCK_BYTES).fill(1), 0);
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "a" });
  await device.write(5 * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(2), 0);
  await device.trim(0, BLOCK_BYTES, 0);
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "b" });
  await device.write(9 * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(3), 0);
  await device.close();

  const hole = { offsetBytes: 0, lengthBytes: BLOCK_BYTES, kind: "hole" };
  const five = { offsetBytes: 5 * BLOCK_BYTES, lengthBytes: BLOCK_BYTES, kind: "data" };
  const nine = { offsetBytes: 9 * BLOCK_BYTES, lengthBytes: BLOCK_BYTES, kind: "data" };
  const diff = async (query: string) => (await daemon.call("GET", `/api/v1/volumes/v/diff?${query}`)).json;
  assert.deepEqual(await diff("from=a&to=b"), [hole, five]);
  assert.deepEqual(await diff("from=a"), [hole, five, nine]);
  assert.deepEqual(await diff("from=a&offsetBytes=4096&lengthBytes=32768"), [five]);
  assert.deepEqual(await diff("from=b&to=b"), []);
});

test("a difference of very many ranges arrives whole", async () => {
  await using daemon = await servedVolume();
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "a" });
  const count = 100_000;
  daemon.pool.difference = async function* () {
    for (let index = 0; index < count; index++)
      yield { offsetBytes: index * 8192, lengthBytes: 4096, kind: "data" as const };
  };
  const { json } = await daemon.call("GET", "/api/v1/volumes/v/diff?from=a");
  assert.equal((json as unknown[]).length, count);
});

test("a difference that fails on the way is cut off, never closed as if it were whole", async () => {
  await using daemon = await servedVolume();
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "a" });
  daemon.pool.difference = async function* () {
    for (let index = 0; index < 10_000; index++)
      yield { offsetBytes: index * 8192, lengthBytes: 4096, kind: "data" as const };
    throw new Error("the disk is gone");
  };
  await assert.rejects(daemon.call("GET", "/api/v1/volumes/v/diff?from=a"), TypeError);
});

test("unknown snapshots are SNAPSHOT_NOT_FOUND, taken names ALREADY_EXISTS", async () => {
  await using daemon = await servedVolume();
  const unknown = "/api/v1/volumes/v/snapshots/none";
  for (const [method, path] of [
    ["GET", unknown],
    ["DELETE", unknown],
    ["POST", `${unknown}/rollback`],
    ["GET", "/api/v1/volumes/v/diff?from=none"],
  ] as const) {
    const { status, json } = await daemon.call(method, path);
    assert.deepEqual([status, (json as { code: string }).code], [404, "SNAPSHOT_NOT_FOUND"], path);
  }
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  const again = await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  assert.deepEqual([again.status, (again.json as { code: string }).code], [409, "ALREADY_EXISTS"]);
});

test("a snapshot with clones or clients is not deleted, a volume with clients not rolled back", async () => {
  await using daemon = await servedVolume();
  const path = "/api/v1/volumes/v/snapshots/s";
  const refusal = async (method: string, at: string) =>
    ((await daemon.call(method, at)).json as { code: string }).code;
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  const reader = daemon.control.exports.open("v@s");
  assert.equal(await refusal("DELETE", path), "IN_USE");
  await reader.close();
  const writer = daemon.control.exports.open("v");
  assert.equal(await refusal("POST", `${path}/rollback`), "IN_USE");
  await writer.close();
  await daemon.call("POST", "/api/v1/volumes/v/clone", { name: "c", snapshot: "s" });
  assert.equal(await refusal("DELETE", path), "HAS_CLONES");
  await daemon.call("POST", "/api/v1/volumes/c/detach");
  assert.equal((await daemon.call("DELETE", path)).status, 204);
});
