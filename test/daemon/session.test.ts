// A user's session from beginning to end: the real daemon, its command line, QEMU and libnbd as clients.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import { runProgram } from "../support/run-program.ts";

const MIB = 2 ** 20;

interface Difference {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly kind: string;
}

/** Runs commands of qemu-io on an export, read-only when it is a snapshot; fails when one of them does. */
async function qemuIo(uri: string, ...commands: string[]): Promise<void> {
  const flags = ["-f", "raw", ...(uri.includes("@") ? ["-r"] : [])];
  const output = await runProgram("qemu-io", [...flags, ...commands.flatMap((each) => ["-c", each]), uri]);
  assert.doesNotMatch(output, /failed|error/i);
}

test(
  "a volume is made, written, snapshotted, compared, cloned, rolled back, survives SIGKILL, and is deleted",
  needs("qemu-io", "nbdinfo"),
  async () => {
    const daemon = await Daemon.start({ poolSize: "4GiB" });
    await using _ = daemon;
    await daemon.cli("volume", "create", "disk", "--size", "1GiB");
    await qemuIo(daemon.uri("disk"), "write -P 17 0 1M", "write -P 34 64M 64k", "flush");
    await daemon.cli("snapshot", "create", "disk@monday");
    await qemuIo(daemon.uri("disk"), "write -P 51 64M 4k", "discard 0 64k", "flush");

    const changed: Difference[] = [
      { offsetBytes: 0, lengthBytes: 65_536, kind: "hole" },
      { offsetBytes: 64 * MIB, lengthBytes: 4096, kind: "data" },
    ];
    assert.deepEqual(await daemon.json("snapshot", "diff", "disk@monday", "disk"), changed);
    const map = await runProgram("nbdinfo", ["--map=qemu:dirty-bitmap:monday", "--json", daemon.uri("disk")]);
    const dirty = (JSON.parse(map) as { offset: number; length: number; type: number }[])
      .filter(({ type }) => type === 1)
      .map(({ offset, length }) => [offset, length]);
    assert.deepEqual(
      dirty,
      changed.map(({ offsetBytes, lengthBytes }) => [offsetBytes, lengthBytes]),
    );

    await qemuIo(daemon.uri("disk@monday"), "read -P 17 0 1M", "read -P 34 64M 64k");
    await daemon.cli("volume", "clone", "disk@monday", "copy");
    await qemuIo(daemon.uri("copy"), "read -P 34 64M 64k", "write -P 68 64M 4k", "flush");
    await qemuIo(daemon.uri("disk"), "read -P 0 0 64k", "read -P 17 64k 960k", "read -P 51 64M 4k");

    await daemon.kill();
    await daemon.start();
    await qemuIo(daemon.uri("copy"), "read -P 68 64M 4k", "read -P 34 67112960 60k", "read -P 17 0 1M");
    assert.deepEqual(await daemon.json("snapshot", "diff", "disk@monday", "disk"), changed);

    await daemon.cli("snapshot", "rollback", "disk@monday");
    await qemuIo(daemon.uri("disk"), "read -P 17 0 1M", "read -P 34 64M 64k");
    assert.deepEqual(await daemon.json("snapshot", "diff", "disk@monday", "disk"), []);

    const scrub = (await daemon.json("scrub")) as { blocks: number; errors: number };
    assert.ok(scrub.blocks > 0);
    assert.equal(scrub.errors, 0);
    await daemon.cli("volume", "detach", "copy");
    await daemon.cli("snapshot", "delete", "disk@monday");
    for (const name of ["disk", "copy"]) await daemon.cli("volume", "delete", name);
    await daemon.cli("gc");
    const status = (await daemon.json("status")) as { pool: { liveBytes: number }; volumes: number };
    assert.equal(status.volumes, 0);
    assert.equal(status.pool.liveBytes, 0);
    assert.equal((await daemon.stop()).code, 0);
  },
);

test(
  "requests over NBD appear in the metrics with their volume, bytes and latencies",
  needs("qemu-io"),
  async () => {
    await using daemon = await Daemon.start({ poolSize: "1GiB" });
    await daemon.cli("volume", "create", "disk", "--size", "64MiB");
    await qemuIo(daemon.uri("disk"), "write -P 1 0 1M", "read -P 1 0 1M", "flush");
    const metrics = await daemon.metrics();
    assert.equal(metrics.get('ropewalk_request_bytes_total{volume="disk",request="write"}'), MIB);
    assert.ok(metrics.get('ropewalk_request_bytes_total{volume="disk",request="read"}')! >= MIB);
    assert.ok(metrics.get('ropewalk_requests_total{volume="disk",request="flush"}')! >= 1);
    assert.ok(metrics.get('ropewalk_request_duration_seconds_sum{volume="disk",request="flush"}')! > 0);
    assert.ok(metrics.get("ropewalk_pool_write_amplification")! >= 1);
    assert.ok(metrics.get("ropewalk_pool_client_written_bytes_total")! >= MIB);
    assert.ok(metrics.has('ropewalk_loop_longest_turn_seconds{window="minute"}'));
  },
);

test("layers of the configuration lie over their volume and no other", needs("qemu-io"), async () => {
  const daemon = await Daemon.start({ poolSize: "1GiB" });
  await using _ = daemon;
  for (const name of ["slow", "fast"]) await daemon.cli("volume", "create", name, "--size", "64MiB");
  await daemon.stop();
  const config = `${daemon.dataDirectory}/../ropewalk.yaml`;
  writeFileSync(
    config,
    "volumes: {slow: {layers: [{layer: rate, writeBytesPerSecond: 4MiB, burstMs: 100}]}}\n",
  );
  await using limited = await Daemon.start({
    dataDirectory: daemon.dataDirectory,
    flags: ["--config", config],
  });
  const elapsedMs = async (name: string) => {
    const startedMs = performance.now();
    await qemuIo(limited.uri(name), "write -P 1 0 4M", "write -P 1 4M 4M");
    return performance.now() - startedMs;
  };
  const slowMs = await elapsedMs("slow");
  // 8 MiB at 4 MiB a second, less the burst and the last request.
  assert.ok(slowMs > 900, `${slowMs} ms`);
  assert.ok((await elapsedMs("fast")) < slowMs);
});
