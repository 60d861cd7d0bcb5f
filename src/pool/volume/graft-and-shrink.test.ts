// Hangs the process in a synchronous loop: run under `timeout 20`.
import test from "node:test";
import { patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;
test("a shrink while a graft of several records runs leaves a pool that opens", () =>
  withSimulatedPool(async (s) => {
    await (await s.volume("a", 256 * MIB)).close();
    const b = await s.volume("b", 256 * MIB);
    for (let at = 0; at < 256 * MIB; at += 8 * MIB) await b.write(at, patternBytes(64 * 1024, at), 0);
    const graft = s.pool
      .graft({
        source: { volume: "b" },
        sourceOffset: 4096,
        volume: "a",
        offset: 0,
        length: 256 * MIB - 4096,
      })
      .catch(() => undefined);
    await s.pool.resizeVolume("a", 1536);
    await graft;
    s.die();
    await s.open();
  }));
