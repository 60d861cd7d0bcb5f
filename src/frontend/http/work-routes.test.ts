import assert from "node:assert/strict";
import { test } from "node:test";
import { serveControl, stageScrub } from "../../../test/support/served-control.ts";

interface Work {
  state: string;
  progress?: unknown;
  result?: unknown;
  error?: { code: string };
}

test("a scrub answers when it is finished, with what it found", async () => {
  await using daemon = await serveControl();
  assert.deepEqual((await daemon.call("GET", "/api/v1/scrub")).json, { state: "idle" });
  stageScrub(daemon.pool, { damage: ["block 5 of volume v"] });
  const { status, json } = await daemon.call("POST", "/api/v1/scrub");
  assert.equal(status, 200);
  assert.deepEqual(json, { blocks: 7, errors: 1, damage: ["block 5 of volume v"] });
  const after = (await daemon.call("GET", "/api/v1/scrub")).json as Work;
  assert.deepEqual([after.state, after.result], ["done", json]);
});

test("a scrub is watched while it runs, joined, and cancelled; who waits for it learns so", async () => {
  await using daemon = await serveControl();
  stageScrub(daemon.pool, { gate: new Promise(() => {}), damage: ["a"] });
  const started = await daemon.call("POST", "/api/v1/scrub?wait=false");
  assert.equal(started.status, 202);
  const waiting = daemon.call("POST", "/api/v1/scrub");
  const running = (await daemon.call("GET", "/api/v1/scrub")).json as Work;
  assert.deepEqual(
    [running.state, running.progress],
    ["running", { blocks: 3, blocksExpected: 0, errors: 1, damage: ["a"] }],
  );
  const watching = daemon.call("GET", "/api/v1/scrub?waitSeconds=60");
  const cancelled = (await daemon.call("DELETE", "/api/v1/scrub")).json as Work;
  assert.deepEqual([cancelled.state, cancelled.error?.code], ["cancelled", "CANCELLED"]);
  assert.equal(((await watching).json as Work).state, "cancelled");
  const { status, json } = await waiting;
  assert.deepEqual([status, (json as { code: string }).code], [499, "CANCELLED"]);
});

test("watching a scrub ends after the time asked for although it still runs", async () => {
  await using daemon = await serveControl();
  const gate = Promise.withResolvers<void>();
  stageScrub(daemon.pool, { gate: gate.promise });
  await daemon.call("POST", "/api/v1/scrub?wait=false");
  const watched = (await daemon.call("GET", "/api/v1/scrub?waitSeconds=0.05")).json as Work;
  assert.equal(watched.state, "running");
  gate.resolve();
  assert.equal(((await daemon.call("GET", "/api/v1/scrub?waitSeconds=60")).json as Work).state, "done");
});

test("a collection goes down to the ratio asked for in steps and says what it freed", async () => {
  await using daemon = await serveControl();
  const ratios: number[] = [];
  daemon.pool.collect = async ({ ratio } = {}) => {
    ratios.push(ratio!);
    return { segmentsFreed: 1 };
  };
  const { status, json } = await daemon.call("POST", "/api/v1/gc", { ratio: 1.2 });
  assert.equal(status, 200);
  assert.equal(ratios.at(-1), 1.2);
  assert.ok(ratios.length > 1 && ratios.every((ratio, index) => index === 0 || ratio < ratios[index - 1]!));
  const { usedBytes, liveBytes } = daemon.pool.status();
  assert.deepEqual(json, { segmentsFreed: ratios.length, usedBytes, liveBytes });
});

test("a collection is cancelled between two steps", async () => {
  await using daemon = await serveControl();
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  daemon.pool.collect = async () => {
    entered.resolve();
    await gate.promise;
    return { segmentsFreed: 1 };
  };
  const waiting = daemon.call("POST", "/api/v1/gc");
  await entered.promise;
  const cancelling = daemon.control.collection.cancel();
  gate.resolve();
  await cancelling;
  const { state, progress } = (await daemon.call("DELETE", "/api/v1/gc")).json as Work;
  assert.equal(state, "cancelled");
  assert.equal((progress as { segmentsFreed: number }).segmentsFreed, 0);
  assert.equal(((await waiting).json as { code: string }).code, "CANCELLED");
});

test("a work that fails says so to who waits and to who asks later", async () => {
  await using daemon = await serveControl();
  const gate = Promise.reject(new Error("defect"));
  gate.catch(() => {});
  stageScrub(daemon.pool, { gate });
  assert.equal(((await daemon.call("POST", "/api/v1/scrub")).json as { code: string }).code, "INTERNAL");
  const { state, error } = (await daemon.call("GET", "/api/v1/scrub")).json as Work;
  assert.deepEqual([state, error?.code], ["failed", "INTERNAL"]);
});
