import assert from "node:assert/strict";
import { test } from "node:test";
import { traceEvents } from "./system-call-trace.ts";

const TRACE = String.raw`101 pwritev(21</data/seg-1>, [{iov_base="\x41\x42", iov_len=2}, {iov_base="\x43", iov_len=1}], 2, 0) = 3
102 fdatasync(21<\x2f\x64\x61\x74\x61\x2f\x73\x65\x67\x2d\x31> <unfinished ...>
101 write(9<UNIX-STREAM:[1->2]>, "\x67\x44", 2) = 2
102 <... fdatasync resumed>) = 0
103 fdatasync(22</data/seg-2>) = -1 EIO (Input/output error)
101 +++ exited with 0 +++
`;

test("a trace of system calls is read as writes with their bytes and syncs with begin and end", () => {
  assert.deepEqual(
    traceEvents(TRACE).map(({ kind, thread, path, bytes, succeeded }) => [
      kind,
      thread,
      path,
      bytes,
      succeeded,
    ]),
    [
      ["write", 101, "/data/seg-1", "414243", false],
      ["sync-begin", 102, "/data/seg-1", "", false],
      ["write", 101, "UNIX-STREAM:[1->2]", "6744", false],
      ["sync-end", 102, "", "", true],
      ["sync-begin", 103, "/data/seg-2", "", false],
      ["sync-end", 103, "", "", false],
    ],
  );
});
