import assert from "node:assert/strict";
import { test } from "node:test";
import { RopewalkError } from "../base/errors.ts";
import { hostClock } from "../host/clock.ts";
import { SettlePoints } from "./settle-points.ts";

test("a wait goes on over several calls and says whether it is reached", async () => {
  const points = new SettlePoints(hostClock);
  const settled = Promise.withResolvers<void>();
  const point = points.begin(() => settled.promise);
  assert.equal(await points.wait(point, 0), false);
  const waiting = points.wait(point, undefined);
  settled.resolve();
  assert.equal(await waiting, true);
  assert.equal(await points.wait(point, 0), true, "it stays known");
});

test("a wait fails as what is waited for did, and one that nobody began is NOT_FOUND", async () => {
  const points = new SettlePoints(hostClock);
  const point = points.begin(() => Promise.reject(new RopewalkError("SOURCE_MISSING", "gone")));
  await assert.rejects(points.wait(point, undefined), { code: "SOURCE_MISSING" });
  await assert.rejects(points.wait(point + 1, 0), { code: "NOT_FOUND" });
});

test("waits are bounded, and those that ended long ago are forgotten", async () => {
  const points = new SettlePoints(hostClock);
  const never = new Promise<void>(() => {});
  const first = points.begin(() => Promise.resolve());
  await points.wait(first, undefined);
  for (let count = 0; count < 256; count++)
    await points.wait(
      points.begin(() => Promise.resolve()),
      undefined,
    );
  await assert.rejects(points.wait(first, 0), { code: "NOT_FOUND" });
  for (let count = 0; count < 256; count++) points.begin(() => never);
  assert.throws(() => points.begin(() => never), { code: "TOO_MANY" });
});
