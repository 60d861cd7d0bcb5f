import assert from "node:assert/strict";
import { test } from "node:test";
import { serveControl } from "../../../test/support/served-control.ts";

const GIB = 2 ** 30;

test("a volume is created, shown, listed, resized, cloned, detached and deleted", async () => {
  await using daemon = await serveControl();
  const created = await daemon.call("POST", "/api/v1/volumes", { name: "b", sizeBytes: GIB });
  assert.equal(created.status, 201);
  const { id, uuid, createdAt, ...rest } = created.json as Record<string, unknown>;
  assert.deepEqual(rest, { name: "b", sizeBytes: GIB, usedBytes: 0, snapshots: 0, origin: null, clients: 0 });
  assert.equal(typeof id, "number");
  assert.equal(typeof uuid, "string");
  assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

  assert.deepEqual((await daemon.call("GET", "/api/v1/volumes/b")).json, created.json);
  const resized = await daemon.call("POST", "/api/v1/volumes/b/resize", { sizeBytes: 2 * GIB });
  assert.equal((resized.json as { sizeBytes: number }).sizeBytes, 2 * GIB);
  const clone = await daemon.call("POST", "/api/v1/volumes/b/clone", { name: "a" });
  assert.equal((clone.json as { origin: string }).origin, "b");
  const listed = (await daemon.call("GET", "/api/v1/volumes")).json as { name: string }[];
  assert.deepEqual(
    listed.map((volume) => volume.name),
    ["a", "b"],
  );
  const detached = await daemon.call("POST", "/api/v1/volumes/a/detach");
  assert.equal((detached.json as { origin: null }).origin, null);
  const deleted = await daemon.call("DELETE", "/api/v1/volumes/b");
  assert.equal(deleted.status, 204);
  assert.equal(deleted.json, undefined);
  assert.equal((await daemon.call("GET", "/api/v1/volumes/b")).status, 404);
});

test("every illegal name is answered with INVALID_NAME, in the body and in the path", async () => {
  await using daemon = await serveControl();
  for (const name of ["", "..", ".", "@", "v@s", "A", "a".repeat(300), "a\n", "\u0000", "a/b", "\u202e"]) {
    const created = await daemon.call("POST", "/api/v1/volumes", { name, sizeBytes: GIB });
    assert.deepEqual([created.status, codeOf(created)], [400, "INVALID_NAME"], JSON.stringify(name));
    // Dots alone are taken out of a path by every HTTP client before it is sent.
    if (/^\.*$/.test(name)) continue;
    const shown = await daemon.call("GET", `/api/v1/volumes/${encodeURIComponent(name)}`);
    assert.deepEqual([shown.status, codeOf(shown)], [400, "INVALID_NAME"], JSON.stringify(name));
  }
});

test("every illegal size is answered with INVALID_SIZE", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "old", sizeBytes: GIB });
  for (const size of ["0", "-512", "513", "512.5", "9223372036854775808", "1e300", "4503599627370497"]) {
    const created = await daemon.call("POST", "/api/v1/volumes", `{"name":"v","sizeBytes":${size}}`);
    assert.deepEqual([created.status, codeOf(created)], [400, "INVALID_SIZE"], size);
    const resized = await daemon.call("POST", "/api/v1/volumes/old/resize", `{"sizeBytes":${size}}`);
    assert.deepEqual([resized.status, codeOf(resized)], [400, "INVALID_SIZE"], size);
  }
});

test("a taken name is ALREADY_EXISTS for a new volume and for a clone", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: GIB });
  const again = await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: GIB });
  assert.deepEqual([again.status, codeOf(again)], [409, "ALREADY_EXISTS"]);
  assert.equal(codeOf(await daemon.call("POST", "/api/v1/volumes/v/clone", { name: "v" })), "ALREADY_EXISTS");
});

test("every call on a volume that does not exist is VOLUME_NOT_FOUND", async () => {
  await using daemon = await serveControl();
  const calls: [string, string, unknown?][] = [
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/resize", { sizeBytes: GIB }],
    ["POST", "/clone", { name: "w" }],
    ["POST", "/detach"],
    ["GET", "/snapshots"],
    ["POST", "/snapshots", { name: "s" }],
    ["GET", "/snapshots/s"],
    ["DELETE", "/snapshots/s"],
    ["POST", "/snapshots/s/rollback"],
    ["GET", "/diff?from=s"],
  ];
  for (const [method, path, body] of calls) {
    const answer = await daemon.call(method, `/api/v1/volumes/v${path}`, body);
    assert.deepEqual([answer.status, codeOf(answer)], [404, "VOLUME_NOT_FOUND"], `${method} ${path}`);
  }
});

test("a volume with clients is neither deleted nor shrunk, but may grow", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: GIB });
  const device = daemon.control.exports.open("v");
  assert.equal(codeOf(await daemon.call("DELETE", "/api/v1/volumes/v")), "IN_USE");
  const shrunk = await daemon.call("POST", "/api/v1/volumes/v/resize", { sizeBytes: 512 });
  assert.deepEqual([shrunk.status, codeOf(shrunk)], [409, "IN_USE"]);
  assert.equal((await daemon.call("POST", "/api/v1/volumes/v/resize", { sizeBytes: 2 * GIB })).status, 200);
  await device.close();
  assert.equal((await daemon.call("DELETE", "/api/v1/volumes/v")).status, 204);
});

test("a volume with snapshots or clones is not deleted", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: GIB });
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  assert.equal(codeOf(await daemon.call("DELETE", "/api/v1/volumes/v")), "HAS_SNAPSHOTS");
  await daemon.call("DELETE", "/api/v1/volumes/v/snapshots/s");
  await daemon.call("POST", "/api/v1/volumes/v/clone", { name: "w" });
  assert.equal(codeOf(await daemon.call("DELETE", "/api/v1/volumes/v")), "HAS_CLONES");
});

function codeOf({ json }: { json: unknown }): string {
  return (json as { code: string }).code;
}
