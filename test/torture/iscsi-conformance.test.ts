import assert from "node:assert/strict";
import { test } from "node:test";
import { avoidableSkips, parseConformance, skipReasons } from "./iscsi-conformance.ts";

const OUTPUT = `
Suite: Sanitize
    [SKIPPED] Logical unit is not removable. Skipping test.
    [FAILED] TESTUNITREADY successful but should have failed

Suite Sanitize, Test Reset had failures:
    1. test_sanitize_reset.c:97  - CU_ASSERT_EQUAL(_r,0)
    2. test_sanitize_reset.c:165  - CU_ASSERT_EQUAL(_r,0)    [SKIPPED] Media is not removable.
    [SKIPPED] Logical unit is not removable. Skipping test.
    [SKIPPED] SANITIZE is not implemented.

Run Summary:    Type  Total    Ran Passed Failed Inactive
              suites     51     51    n/a      0        0
               tests    230    229    228      1        0
             asserts  83434  83434  83426      8      n/a
`;

test("failed tests are named with their assertions, and every skip line counts with its reason", () => {
  const { testsRun, failures, skips } = parseConformance(OUTPUT);
  assert.equal(testsRun, 229);
  assert.equal(failures.length, 1);
  assert.match(
    failures[0]!,
    /^Sanitize\.Reset: 1\. test_sanitize_reset\.c:97 .*; 2\. test_sanitize_reset\.c:165/,
  );
  assert.deepEqual(skipReasons(skips), [
    "2 × Logical unit is not removable. Skipping test.",
    "1 × Media is not removable.",
    "1 × SANITIZE is not implemented.",
  ]);
  assert.deepEqual(avoidableSkips(skips), ["SANITIZE is not implemented."]);
});

test("a run that ends early has failed", () => {
  assert.match(parseConformance("Suite: Sanitize\n").failures[0]!, /without a summary/);
  assert.deepEqual(parseConformance(OUTPUT, "exit 128: Segmentation fault").failures.slice(1), [
    "exit 128: Segmentation fault",
  ]);
});
