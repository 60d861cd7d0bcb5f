import assert from "node:assert/strict";
import { test } from "node:test";
import { Deferred } from "../../base/deferred.ts";
import { GroupedSyncs } from "./grouped-syncs.ts";

const EIO = 5;

/** Syncs that end when the test says so. */
function heldSyncs(): { readonly syncs: GroupedSyncs; readonly begun: Deferred<number>[] } {
  const begun: Deferred<number>[] = [];
  const syncs = new GroupedSyncs(() => {
    const sync = new Deferred<number>();
    begun.push(sync);
    return sync.promise;
  });
  return { syncs, begun };
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

test("who asks during a sync waits for the next one, which serves all of them", async () => {
  const { syncs, begun } = heldSyncs();
  const first = syncs.wait();
  await turn();
  const later = [syncs.wait(), syncs.wait()];
  await turn();
  assert.equal(begun.length, 1);
  begun[0]!.resolve(0);
  assert.equal(await first, 0);
  await turn();
  assert.equal(begun.length, 2);
  begun[1]!.resolve(-EIO);
  assert.deepEqual(await Promise.all(later), [-EIO, -EIO]);
});

test("a sync that could not be asked for fails who waits for it, and nobody after it", async () => {
  const { syncs, begun } = heldSyncs();
  const first = syncs.wait();
  await turn();
  const later = syncs.wait();
  begun[0]!.reject(new Error("no thread"));
  await assert.rejects(first, /no thread/);
  await turn();
  begun[1]!.resolve(0);
  assert.equal(await later, 0);
});

test("behind a sync that took long the next one waits for what is being staged, and begins when that is done", async () => {
  const { syncs, begun } = heldSyncs();
  const first = syncs.wait();
  await turn();
  await new Promise((resolve) => setTimeout(resolve, 200));
  begun[0]!.resolve(0);
  await first;
  const staged = new Deferred();
  const staging = syncs.staging(() => staged.promise);
  const second = syncs.wait();
  await turn();
  assert.equal(begun.length, 1);
  staged.resolve();
  await staging;
  await turn();
  await turn();
  assert.equal(begun.length, 2);
  begun[1]!.resolve(0);
  assert.equal(await second, 0);
});
