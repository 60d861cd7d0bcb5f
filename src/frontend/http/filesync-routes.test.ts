import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { test } from "node:test";
import { type FilesyncTestWorld, filesyncWorld } from "../../../test/support/filesync-world.ts";
import { type ServedControl, serveControl } from "../../../test/support/served-control.ts";
import type {
  FilesyncJson,
  FilesyncSyncWorkJson,
  FilesyncTargetJson,
  MadeFilesyncTargetJson,
} from "./filesync-json.ts";

interface Served extends AsyncDisposable {
  readonly daemon: ServedControl;
  readonly world: FilesyncTestWorld;
  readonly body: { name: string; source: string; targets: { to: string; key?: string }[] };
}

/** A daemon that replicates nothing, and a wish that it grants. */
async function served(): Promise<Served> {
  const world = filesyncWorld();
  for (const name of ["data", "source"]) mkdirSync(world.folder.file(name));
  const daemon = await serveControl({}, { filesyncs: world.filesyncs, filesyncTargets: world.targets });
  const { folder } = world;
  return {
    daemon,
    world,
    body: { name: "a", source: folder.file("source"), targets: [{ to: folder.file("copy") }] },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      world[Symbol.dispose]();
    },
  };
}

test("a synchronization has the fields relied upon, and never shows a key", async () => {
  await using made = await served();
  const { daemon, world, body } = made;
  const key = "0f".repeat(32);
  const targets = [...body.targets, { to: "ropewalk://127.0.0.1:1/in", key }];
  const { status, json } = await daemon.call("POST", "/api/v1/filesyncs", {
    ...body,
    targets,
    threads: 2,
    excludes: ["*.o"],
  });
  assert.equal(status, 201);
  const { createdAt, ...added } = json as FilesyncJson;
  assert.equal(new Date(createdAt).toISOString(), createdAt);
  const target = {
    state: "live",
    connections: 4,
    lag: { seconds: 1.5, entries: 5, bytes: 4096 },
    sentBytes: 1000,
    copiedFiles: 11,
    removed: 1,
    tornReads: 0,
    failures: 1,
    lastFailures: [{ path: "p", errno: "EACCES", doing: "open" }],
  };
  assert.deepEqual(added, {
    name: "a",
    source: body.source,
    state: "live",
    order: "per-file",
    targets: targets.map(({ to }) => ({ to, ...target })),
    events: 7,
    overflows: 1,
    rescans: 2,
    watches: 3,
    threads: 2,
    mode: "attributes",
    deletes: "mirror",
    excludes: ["*.o"],
    barrier: "tree",
    bandwidthBytesPerSecond: 0,
  });
  assert.deepEqual((await daemon.call("GET", "/api/v1/filesyncs")).json, [json]);
  assert.deepEqual((await daemon.call("GET", "/api/v1/filesyncs/a")).json, json);
  assert.equal((await daemon.call("POST", "/api/v1/filesyncs/a/pause")).status, 200);
  assert.equal(((await daemon.call("GET", "/api/v1/filesyncs/a")).json as FilesyncJson).state, "paused");
  assert.equal(
    ((await daemon.call("POST", "/api/v1/filesyncs/a/resume")).json as FilesyncJson).state,
    "live",
  );
  assert.equal((await daemon.call("DELETE", "/api/v1/filesyncs/a")).status, 204);
  assert.deepEqual(world.started.get("a")!.calls, ["start", "pause", "resume", "stop"]);
  assert.deepEqual((await daemon.call("GET", "/api/v1/filesyncs")).json, []);
});

test("a wait answers when the targets equal the source, or after a time with a number to go on by", async () => {
  await using made = await served();
  const { daemon, world, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  const path = "/api/v1/filesyncs/a?wait=true";
  const early = (await daemon.call("GET", `${path}&waitSeconds=0.01`)).json as FilesyncJson;
  assert.equal(early.wait?.settled, false);
  const whole = daemon.call("GET", path);
  const goneOn = daemon.call("GET", `${path}&waitSeconds=60&point=${early.wait.point}`);
  // Both wait before it is settled.
  await daemon.call("GET", "/api/v1/filesyncs");
  world.started.get("a")!.settling.resolve();
  assert.deepEqual(((await goneOn).json as FilesyncJson).wait, { point: early.wait.point, settled: true });
  assert.equal(((await whole).json as FilesyncJson).wait?.settled, true);
  assert.deepEqual(world.started.get("a")!.calls, ["start", "settled", "settled"]);
  assert.equal((await daemon.call("GET", `${path}&point=99`)).status, 404);
});

test("a bulk answers when it is finished, or at once with its state, by which it is watched and cancelled", async () => {
  await using made = await served();
  const { daemon, world, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  const synchronization = world.started.get("a")!;
  const path = "/api/v1/filesyncs/a/sync";
  assert.deepEqual((await daemon.call("GET", path)).json, { state: "idle" });
  synchronization.bulk = { filesDone: 1, filesTotal: 4, bytesDone: 1, bytesTotal: 4, bytesPerSecond: 1 };
  const started = await daemon.call("POST", `${path}?wait=false`, { mode: "full", allowDeletes: true });
  assert.equal(started.status, 202);
  const running = started.json as FilesyncSyncWorkJson;
  assert.equal(running.state, "running");
  assert.deepEqual(running.progress?.targets[0]?.bulk, synchronization.bulk);
  const joined = daemon.call("POST", path, { mode: "full", allowDeletes: true });
  assert.equal((await daemon.call("POST", path, { dryRun: true })).status, 429);
  synchronization.syncing.resolve({ copied: 4, removed: 2, bytes: 4 });
  assert.deepEqual(await joined.then(({ status, json }) => [status, json]), [
    200,
    { copied: 4, removed: 2, bytes: 4 },
  ]);
  assert.equal(synchronization.calls.at(-1), 'sync {"mode":"full","allowDeletes":true}');

  synchronization.syncing = Promise.withResolvers();
  await daemon.call("POST", `${path}?wait=false`, {});
  const cancelled = (await daemon.call("DELETE", path)).json as FilesyncSyncWorkJson;
  assert.deepEqual([cancelled.state, cancelled.error?.code], ["cancelled", "CANCELLED"]);
  assert.equal(synchronization.calls.at(-1), "cancelSync");
});

test("a verification answers with what differs", async () => {
  await using made = await served();
  const { daemon, world, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  const different = [{ to: body.targets[0]!.to, path: "f", what: "content" as const }];
  world.started.get("a")!.verifying.resolve({ files: 2, bytes: 10, differences: 1, different });
  const { status, json } = await daemon.call("POST", "/api/v1/filesyncs/a/verify");
  assert.deepEqual([status, json], [200, { files: 2, bytes: 10, differences: 1, different }]);
});

test("a target here is made with a key that is shown only then", async () => {
  await using made = await served();
  const { daemon, world } = made;
  const root = world.folder.file("in");
  const { status, json } = await daemon.call("POST", "/api/v1/filesync-targets", { name: "in", root });
  assert.equal(status, 201);
  const { key, ...shown } = json as MadeFilesyncTargetJson;
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.deepEqual((await daemon.call("GET", "/api/v1/filesync-targets")).json, [shown]);
  assert.deepEqual(Object.keys(shown as FilesyncTargetJson), ["name", "root", "createdAt"]);
  assert.equal((await daemon.call("DELETE", "/api/v1/filesync-targets/in")).status, 204);
  assert.equal((await daemon.call("DELETE", "/api/v1/filesync-targets/in")).status, 404);
});

test("requests that cannot be are refused with their code", async () => {
  await using made = await served();
  const { daemon, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  const other = { ...body, name: "b" };
  for (const [method, path, given, code] of [
    ["POST", "filesyncs", body, "ALREADY_EXISTS"],
    ["POST", "filesyncs", { ...other, name: "B" }, "INVALID_NAME"],
    ["POST", "filesyncs", other, "TARGET_IN_USE"],
    ["POST", "filesyncs", { ...other, source: "/none" }, "SOURCE_MISSING"],
    ["POST", "filesyncs", { ...other, threads: 17 }, "INVALID_ARGUMENT"],
    ["POST", "filesyncs", { ...other, deletes: "all" }, "INVALID_ARGUMENT"],
    ["POST", "filesyncs", { ...other, targets: [] }, "INVALID_ARGUMENT"],
    ["POST", "filesyncs", { ...other, targets: [{ to: "s3://b/p" }] }, "INVALID_ARGUMENT"],
    ["POST", "filesyncs/a/sync", { mode: "half" }, "INVALID_ARGUMENT"],
    ["POST", "filesyncs/none/sync", {}, "NOT_FOUND"],
    ["POST", "filesyncs/none/pause", undefined, "NOT_FOUND"],
    ["GET", "filesyncs/none", undefined, "NOT_FOUND"],
    ["GET", "filesyncs/A", undefined, "INVALID_NAME"],
    ["GET", "filesyncs/a?waitSeconds=61", undefined, "INVALID_ARGUMENT"],
    ["POST", "filesync-targets", { name: "t", root: "relative" }, "INVALID_ARGUMENT"],
    ["POST", "filesync-targets", { name: "t", root: body.source, key: "0" }, "INVALID_ARGUMENT"],
  ] as const) {
    const { json } = await daemon.call(method, `/api/v1/${path}`, given);
    assert.equal((json as { code: string }).code, code, `${method} ${path} ${JSON.stringify(given)}`);
  }
  assert.deepEqual(daemon.defects, []);
});

test("metrics have each synchronization by name, and by target, until it is deleted", async () => {
  await using made = await served();
  const { daemon, world, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  const metrics = async () => (await fetch(`${daemon.url}/metrics`)).text();
  const text = await metrics();
  const labels = `{name="a",target="${world.folder.file("copy")}"}`;
  for (const line of [
    `ropewalk_filesync_lag_seconds${labels} 1.5`,
    `ropewalk_filesync_lag_entries${labels} 5`,
    `ropewalk_filesync_lag_bytes${labels} 4096`,
    `ropewalk_filesync_copied_files_total${labels} 11`,
    `ropewalk_filesync_sent_bytes_total${labels} 1000`,
    `ropewalk_filesync_failures_total${labels} 1`,
    'ropewalk_filesync_overflows_total{name="a"} 1',
    'ropewalk_filesync_rescans_total{name="a"} 2',
    'ropewalk_filesync_events_total{name="a"} 7',
  ])
    assert.ok(text.includes(`\n${line}\n`), line);
  await daemon.call("DELETE", "/api/v1/filesyncs/a");
  assert.doesNotMatch(await metrics(), /name="a"/);
});

test("a daemon without file replication says so", async () => {
  await using daemon = await serveControl();
  for (const path of ["filesyncs", "filesync-targets"])
    assert.equal((await daemon.call("GET", `/api/v1/${path}`)).status, 501);
});

test("a source that is gone after it was added is its synchronization's affair", async () => {
  await using made = await served();
  const { daemon, body } = made;
  await daemon.call("POST", "/api/v1/filesyncs", body);
  rmSync(body.source, { recursive: true });
  assert.equal((await daemon.call("GET", "/api/v1/filesyncs/a")).status, 200);
  const targets = [{ to: `${body.source}-copy` }];
  const { json } = await daemon.call("POST", "/api/v1/filesyncs", { ...body, name: "b", targets });
  assert.equal((json as { code: string }).code, "SOURCE_MISSING");
});
