import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBench, parsePerf } from "./iscsi-clients.ts";

test("iscsi-perf's figure is its last average", () => {
  const output =
    " lba 1, iops current 1 (0 MB/s), iops average 1 (0 MB/s)\r iops average 26261 (102 MB/s)  \n\nfinished.\n";
  assert.equal(parsePerf(output), 26261);
});

test("a run of iscsi-perf that did not end by itself gives no figure", () => {
  assert.throws(() => parsePerf("iops average 26261 (102 MB/s)\nI/O error"), /I\/O error/);
  assert.throws(() => parsePerf("\nfinished.\n"));
});

test("qemu-img bench says how long it took", () => {
  assert.equal(parseBench("Sending 2000 write requests\nRun completed in 0.149 seconds.\n"), 0.149);
  assert.throws(() => parseBench("Failed request: Input/output error\n"), /Input\/output/);
});
