import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteAccount, ByteBudget } from "./byte-budget.ts";

/** Asks for `bytes`, and notes `name` once they are granted. */
function ask(account: ByteAccount, bytes: number, granted: string[], name: string): void {
  account.request({ bytes, granted: () => granted.push(name) });
}

test("accounts that wait take turns, each with one request", async () => {
  const budget = new ByteBudget({ limitBytes: 100 });
  const holder = new ByteAccount(budget, 100);
  assert.equal(holder.take(100), true);
  const granted: string[] = [];
  const greedy = new ByteAccount(budget, 100);
  const modest = new ByteAccount(budget, 100);
  for (const name of ["greedy 1", "greedy 2", "greedy 3"]) ask(greedy, 30, granted, name);
  ask(modest, 30, granted, "modest");
  holder.give(100);
  await Promise.resolve();
  assert.deepEqual(granted, ["greedy 1", "modest", "greedy 2"]);
});

test("the reserved part is for accounts within the fair share, also while others wait", async () => {
  let shortages = 0;
  const options = { limitBytes: 100, fairBytes: 10, reservedBytes: 20, short: () => shortages++ };
  const budget = new ByteBudget(options);
  const greedy = new ByteAccount(budget, 100);
  assert.equal(greedy.take(81), true, "alone it is never refused");
  greedy.give(1);
  const granted: string[] = [];
  ask(greedy, 11, granted, "greedy");
  await Promise.resolve();
  assert.equal(budget.isWanted, true);
  assert.equal(shortages, 1);
  const modest = new ByteAccount(budget, 100);
  assert.equal(modest.take(10), true);
  assert.equal(modest.take(10), false, "that is more than the fair share");
  assert.deepEqual(granted, []);
});

test("a suspended account gets nothing and holds up nobody until it is resumed", async () => {
  const budget = new ByteBudget({ limitBytes: 100 });
  const stalled = new ByteAccount(budget, 100);
  assert.equal(stalled.take(100), true);
  const granted: string[] = [];
  ask(stalled, 50, granted, "stalled");
  stalled.suspend();
  stalled.give(100);
  await Promise.resolve();
  assert.deepEqual(granted, []);
  assert.equal(budget.isWanted, false);
  assert.equal(stalled.take(1), false);
  assert.equal(new ByteAccount(budget, 100).take(50), true);
  stalled.resume();
  await Promise.resolve();
  assert.deepEqual(granted, ["stalled"]);
});

test("what is larger than a share, or than all, is granted when nothing else is in work", async () => {
  const budget = new ByteBudget({ limitBytes: 100, fairBytes: 10, reservedBytes: 20 });
  const account = new ByteAccount(budget, 50);
  assert.equal(account.take(60), true);
  const granted: string[] = [];
  ask(account, 51, granted, "more than its share");
  const other = new ByteAccount(budget, 50);
  ask(other, 200, granted, "more than all");
  await Promise.resolve();
  assert.deepEqual(granted, []);
  account.give(60);
  await Promise.resolve();
  assert.deepEqual(granted, ["more than its share"]);
  account.give(51);
  await Promise.resolve();
  assert.deepEqual(granted, ["more than its share", "more than all"]);
  assert.equal(budget.usedBytes, 200);
});
