import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { TestJobs } from "./testing/test-thread.ts";
import { TreeThreads } from "./tree-threads.ts";

function threads(t: TestContext, count: number): TreeThreads<TestJobs> {
  const opened = new TreeThreads<TestJobs>({
    script: new URL("./testing/test-thread.ts", import.meta.url),
    count,
  });
  t.after(() => opened.close());
  return opened;
}

test("a job goes to the least busy thread, and a new one starts only while all are busy", async (t) => {
  const opened = threads(t, 2);
  const first = await opened.run("busy", 0);
  assert.equal(await opened.run("busy", 0), first);
  const long = opened.run("busy", 300);
  const other = await opened.run("busy", 0);
  assert.notEqual(other, first);
  assert.equal(await opened.run("busy", 0), other);
  assert.equal(await long, first);
});

test("an error of a job has its code and sentence, and the thread goes on", async (t) => {
  const opened = threads(t, 1);
  await assert.rejects(opened.run("fail", "gone"), { code: "NOT_FOUND", message: "gone" });
  assert.deepEqual(await opened.run("bytes", 3), Uint8Array.of(1, 1, 1));
});

test("when a thread dies its jobs fail, and the next job has a new thread", async (t) => {
  const opened = threads(t, 1);
  const before = await opened.run("busy", 0);
  const dying = [opened.run("die", 3), opened.run("busy", 0)];
  for (const job of await Promise.allSettled(dying)) {
    assert.ok(job.status === "rejected");
    assert.equal(job.reason.code, "INTERNAL");
  }
  assert.notEqual(await opened.run("busy", 0), before);
});

test("closing waits for the jobs under way and takes no new ones", async (t) => {
  const opened = threads(t, 2);
  let isDone = false;
  void opened.run("busy", 100).then(() => (isDone = true));
  await opened.close();
  assert.ok(isDone);
  await assert.rejects(opened.run("busy", 0), { code: "SHUTTING_DOWN" });
});

test("the threads of a tree that closed serve the next one, and no two trees have the same", async (t) => {
  const opened = threads(t, 1);
  const first = await opened.run("busy", 0);
  const beside = threads(t, 1);
  assert.notEqual(await beside.run("busy", 0), first);
  await opened.close();
  assert.equal(await threads(t, 1).run("busy", 0), first);
});
