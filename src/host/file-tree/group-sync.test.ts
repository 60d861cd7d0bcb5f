import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { GROUP_SYNC_BYTES, GroupSync } from "./group-sync.ts";
import type { SyncStart } from "./testing/sync-thread.ts";
import { treeCalls } from "./tree-calls.ts";

const EIO = 5;

function withSyncfs(t: TestContext, syncfs: (fd: number) => number): void {
  const { syncfs: real } = treeCalls;
  treeCalls.syncfs = syncfs;
  t.after(() => {
    treeCalls.syncfs = real;
  });
}

test("threads that want a sync at the same time share one, which began after they asked", async () => {
  const memory = new SharedArrayBuffer(GROUP_SYNC_BYTES);
  const start: SyncStart = { memory, gate: new SharedArrayBuffer(4), threads: 4, times: 100 };
  const threads = Array.from(
    { length: start.threads },
    () => new Worker(new URL("./testing/sync-thread.ts", import.meta.url), { workerData: start }),
  );
  const early = await Promise.all(threads.map(async (thread) => (await once(thread, "message"))[0]));
  assert.deepEqual(early, [0, 0, 0, 0]);
  const [began, ended, isSyncing] = new Int32Array(memory);
  assert.ok(began! >= 100 && began! < 400, `${began} syncs`);
  assert.deepEqual([ended, isSyncing], [began, 0]);
});

test("a sync that failed fails who waited for it, and nobody after it", (t) => {
  const results = [-EIO, 0, 0];
  withSyncfs(t, () => results.shift()!);
  const sync = new GroupSync(new SharedArrayBuffer(GROUP_SYNC_BYTES));
  assert.equal(sync.wait(-1), -EIO);
  assert.equal(sync.wait(-1), 0);
  assert.deepEqual(results, [0]);
});
