import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFio } from "./fio.ts";

const direction = (iops: number, p99Ns: number) => ({
  iops,
  bw_bytes: iops * 4096,
  clat_ns: p99Ns === 0 ? {} : { percentile: { "99.000000": p99Ns } },
});

test("fio's figures are the sum of both directions, whatever its engine says first", () => {
  const job = { error: 0, read: direction(700, 5000), write: direction(300, 9000) };
  const result = parseFio(`fio: connected to NBD server\n${JSON.stringify({ jobs: [job] })}`);
  assert.deepEqual(result, { operations: 1000, mebibytes: 3.90625, p99Us: 9 });
});

test("a job in which requests failed gives no figures", () => {
  const job = { error: 5, read: direction(1, 0), write: direction(1, 0) };
  assert.throws(() => parseFio(JSON.stringify({ jobs: [job] })), /error 5/);
});
