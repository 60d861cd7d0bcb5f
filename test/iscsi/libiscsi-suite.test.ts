// The real daemon under libiscsi's test suite: family ALL, destructive and sanitize tests too, through two portals.
// `npm run torture -- iscsi` runs the other families as well, which repeat the same tests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { needs } from "../support/needs.ts";
import {
  avoidableSkips,
  RESET_UNIT_BYTES,
  runConformance,
  skipReasons,
} from "../torture/iscsi-conformance.ts";

const TESTS = 230;
const SKIPS_MAX = 30;
/** Some tests wait for seconds. */
const TIMEOUT_MS = 600_000;

test(
  "libiscsi's suite passes, and skips only what a fixed disk cannot have",
  needs("iscsi-test-cu"),
  async (t) => {
    await using daemon = await Daemon.start({ poolSize: "4GiB", flags: ["--iscsi", "127.0.0.1:0"] });
    const unit = async (name: string, sizeBytes: number) => {
      await daemon.cli("volume", "create", name, "--size", String(sizeBytes));
      const url = (portal: string) => `iscsi://${portal}/iqn.2026-11.io.ropewalk:${name}/0`;
      const [first, second] = daemon.endpoints.iscsi.map(url);
      assert.ok(first !== undefined && second !== undefined && first !== second);
      return [first, second] as const;
    };
    const suite = {
      unit: await unit("suite", 256 * 2 ** 20),
      resetUnit: await unit("reset", RESET_UNIT_BYTES),
      family: "ALL",
      timeoutMs: TIMEOUT_MS,
    } as const;
    const { testsRun, failures, skips, elapsedMs } = await runConformance(suite);
    const reasons = skipReasons(skips).join("\n");
    t.diagnostic(`${testsRun} tests in ${(elapsedMs / 1000).toFixed(0)} s, skipped:\n${reasons}`);
    assert.ok(daemon.running, `the daemon died:\n${daemon.output}`);
    assert.deepEqual(failures, [], `${failures.length} failed:\n${failures.join("\n")}`);
    assert.ok(testsRun >= TESTS, `only ${testsRun} tests ran`);
    assert.ok(skips.length <= SKIPS_MAX, `${skips.length} skips:\n${reasons}`);
    assert.deepEqual(avoidableSkips(skips), [], `skips of what a fixed disk can have, among:\n${reasons}`);
  },
);
