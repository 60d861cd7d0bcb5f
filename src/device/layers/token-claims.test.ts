import assert from "node:assert/strict";
import { test } from "node:test";
import { withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import { readRequest } from "../../../test/support/token-memory-device.ts";
import { TokenRoom } from "../../offload/mod.ts";
import type { OffloadReadRequest } from "../offload.ts";
import { readTokenClaims } from "./token-claims.ts";

const TTL_MS = 3_600_000;

test("a token's claims are what the token room put into it, and the token of zeros has none", () =>
  withSimulatedPool(async ({ pool, world }) => {
    const { clock, random } = world;
    const room = await TokenRoom.open({
      ...{ pool, clock, random },
      key: new Uint8Array(32),
      report: () => undefined,
    });
    await pool.createVolume({ name: "a", sizeBytes: 65_536 });
    const device = room.overPool({ volume: "a" }, pool.openVolume("a"));
    const make = async (request: Partial<OffloadReadRequest> = {}) => {
      const asked = { ...readRequest(512, 8192), ttlMs: TTL_MS, ...request };
      return (await device.offload!.read(asked)).tokens.map(({ token }) => token);
    };
    const claimed = async (request?: Partial<OffloadReadRequest>) => {
      const [token] = await make(request);
      const { expiresAtMs, ...claims } = readTokenClaims(token!)!;
      assert.equal(expiresAtMs, room.show(token!, { isProtected: true }).expiresAtMs);
      return claims;
    };
    const plain = { lengthBytes: 8192, isPersistent: false, isOneUse: false, isPreserved: true };
    assert.deepEqual(await claimed(), plain);
    assert.deepEqual(await claimed({ persistent: true }), { ...plain, isPersistent: true });
    assert.deepEqual(await claimed({ deleteOnUse: true }), { ...plain, isOneUse: true });
    for (const request of [
      { policy: "invalidate" },
      { policy: "reference" },
      { policy: "invalidate", kind: "hash" },
    ] as const)
      assert.deepEqual(await claimed(request), { ...plain, isPreserved: false });
    const [, companion] = await make({ withChecksums: true });
    assert.equal(readTokenClaims(companion!)!.isPreserved, false);
    const [token] = await make();
    for (const other of [room.zeroToken, new Uint8Array(512), token!.subarray(0, 511)])
      assert.equal(readTokenClaims(other), undefined);
    await device.close();
    await room.close();
  }));
