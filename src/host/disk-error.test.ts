import assert from "node:assert/strict";
import { test } from "node:test";
import { diskError } from "./disk-error.ts";

test("a failed call names the call, the file, the errno and what to do", () => {
  const error = diskError({ call: "pwrite", path: "/d/seg", cause: -5 });
  assert.equal(error.code, "IO_ERROR");
  assert.match(error.message, /^pwrite of \/d\/seg failed with EIO: .*kernel's log/);
});

test("Node's error stays as the cause", () => {
  const cause = Object.assign(new Error("x"), { code: "EROFS" });
  const error = diskError({ call: "open", path: "/d/seg", cause });
  assert.equal(error.code, "IO_ERROR");
  assert.equal(error.cause, cause);
  assert.match(error.message, /EROFS: the file system is read-only/);
});

test("a failure that has a code of its own gets it", () => {
  const codes = { ENOSPC: "NO_SPACE" } as const;
  assert.equal(diskError({ call: "fallocate", path: "/d/seg", cause: -28, codes }).code, "NO_SPACE");
  assert.equal(diskError({ call: "fallocate", path: "/d/seg", cause: -5, codes }).code, "IO_ERROR");
});

test("an errno that Node has no name for is told by its number", () => {
  assert.match(diskError({ call: "preadv2", path: "/d/x", cause: -117 }).message, /failed with errno 117\./);
});

test("a failure without an errno is still told", () => {
  assert.match(diskError({ call: "open", path: "/d/x", cause: new Error("odd") }).message, /UNKNOWN/);
});
