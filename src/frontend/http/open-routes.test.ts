import assert from "node:assert/strict";
import { test } from "node:test";
import { serveControl } from "../../../test/support/served-control.ts";
import { SMALL_POOL_BYTES } from "../../../test/support/small-pool.ts";

/** The value of a metric's line, by its name and labels as Prometheus writes them. */
function sample(metrics: string, series: string): number {
  const line = metrics.split("\n").find((each) => each.startsWith(`${series} `));
  assert.ok(line, `no ${series} in the metrics`);
  return Number(line.slice(series.length + 1));
}

test("requests, bytes, errors and latencies of each volume are counted", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: 2 ** 20 });
  const device = daemon.control.exports.open("v");
  await device.write(0, new Uint8Array(4096), 0);
  await device.write(4096, new Uint8Array(512), 0);
  await device.read(0, new Uint8Array(1024));
  await device.flush();
  await daemon.call("POST", "/api/v1/volumes/v/snapshots", { name: "s" });
  const snapshot = daemon.control.exports.open("v@s");
  assert.throws(() => snapshot.write(0, new Uint8Array(512), 0), { code: "READ_ONLY" });

  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  assert.equal(sample(metrics, 'ropewalk_requests_total{volume="v",request="write"}'), 2);
  assert.equal(sample(metrics, 'ropewalk_request_bytes_total{volume="v",request="write"}'), 4608);
  assert.equal(sample(metrics, 'ropewalk_requests_total{volume="v",request="read"}'), 1);
  assert.equal(sample(metrics, 'ropewalk_requests_total{volume="v",request="flush"}'), 1);
  assert.equal(sample(metrics, 'ropewalk_request_errors_total{volume="v@s",request="write"}'), 1);
  const histogram = "ropewalk_request_duration_seconds";
  const labels = 'volume="v",request="write"';
  assert.equal(sample(metrics, `${histogram}_bucket{${labels},le="+Inf"}`), 2);
  assert.equal(sample(metrics, `${histogram}_count{${labels}}`), 2);
  assert.ok(sample(metrics, `${histogram}_sum{${labels}}`) > 0);
  assert.equal(sample(metrics, 'ropewalk_volume_clients{volume="v"}'), 1);
});

test("the pool, the loop, the connections and the daemon are measured", async () => {
  await using daemon = await serveControl();
  Object.assign(daemon.pool.counters, {
    clientBytesWritten: 1000,
    logBytesWritten: 1100,
    collectorBytesWritten: 300,
    metadataBytesWritten: 100,
  });
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  assert.equal(sample(metrics, "ropewalk_pool_write_amplification"), 1.5);
  assert.equal(sample(metrics, "ropewalk_pool_client_written_bytes_total"), 1000);
  assert.equal(sample(metrics, "ropewalk_pool_segments"), daemon.pool.status().segments);
  assert.equal(sample(metrics, 'ropewalk_loop_longest_turn_seconds{window="minute"}'), 0.0015);
  assert.equal(sample(metrics, 'ropewalk_connections{front_end="nbd"}'), 3);
  assert.equal(sample(metrics, 'ropewalk_connections{front_end="http"}'), 1);
  assert.equal(sample(metrics, "ropewalk_resident_bytes"), 12_345);
  assert.equal(sample(metrics, 'ropewalk_info{version="1.2.3"}'), 1);
});

test("metrics of a deleted volume are gone", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: 2 ** 20 });
  const device = daemon.control.exports.open("v");
  await device.flush();
  await device.close();
  await daemon.call("DELETE", "/api/v1/volumes/v");
  assert.doesNotMatch(await (await fetch(`${daemon.url}/metrics`)).text(), /volume="v"/);
});

test("the daemon is healthy while its pool takes writes", async () => {
  await using daemon = await serveControl();
  const healthy = await fetch(`${daemon.url}/healthz`);
  assert.deepEqual([healthy.status, await healthy.json()], [200, { status: "ok" }]);
  const status = daemon.pool.status();
  daemon.pool.status = () => ({ ...status, readOnly: true });
  const sick = await fetch(`${daemon.url}/healthz`);
  assert.deepEqual([sick.status, ((await sick.json()) as { code: string }).code], [503, "POOL_READ_ONLY"]);
});

test("status has the fields that programs rely on", async () => {
  await using daemon = await serveControl();
  await daemon.call("POST", "/api/v1/volumes", { name: "v", sizeBytes: 2 ** 20 });
  const { pool, ...rest } = (await daemon.call("GET", "/api/v1/status")).json as Record<string, unknown>;
  assert.deepEqual(rest, { volumes: 1, version: "1.2.3", uptimeSeconds: 0, rssBytes: 12_345 });
  const { sizeBytes, usedBytes, liveBytes, segments } = pool as Record<string, number>;
  const expected = daemon.pool.status();
  assert.equal(sizeBytes, SMALL_POOL_BYTES);
  assert.deepEqual([usedBytes, liveBytes, segments], [expected.usedBytes, 0, expected.segments]);
});

test("the pool's size can be set to what it uses or more", async () => {
  await using daemon = await serveControl();
  const grown = await daemon.call("PATCH", "/api/v1/pool", { sizeBytes: 2 * SMALL_POOL_BYTES });
  assert.equal((grown.json as { sizeBytes: number }).sizeBytes, 2 * SMALL_POOL_BYTES);
  const small = await daemon.call("PATCH", "/api/v1/pool", { sizeBytes: 512 });
  assert.equal(small.status, 400);
  assert.equal(daemon.pool.status().sizeBytes, 2 * SMALL_POOL_BYTES);
});
