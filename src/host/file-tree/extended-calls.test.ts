import assert from "node:assert/strict";
import { test } from "node:test";
import { extendedCalls } from "./extended-calls.ts";
import { done, putFile, temporaryTree } from "./testing/temporary-tree.ts";
import { OPEN_FILE, treeCalls } from "./tree-calls.ts";

test("lists of names and values of any length are read whole, of open files and of names", async (t) => {
  const { fd } = await temporaryTree(t);
  putFile(fd, "file");
  const names = Array.from({ length: 5 }, (_, index) => `user.${String(index).repeat(100)}`);
  for (const [index, name] of names.entries())
    done(extendedCalls.lsetxattr(fd, "file", name, new Uint8Array(index * 128).fill(index)));
  const file = done(treeCalls.openat(fd, "file", OPEN_FILE));
  t.after(() => treeCalls.close(file));
  const listed = [extendedCalls.llistxattr(fd, "file"), extendedCalls.flistxattr(file)];
  for (const list of listed) {
    assert.ok(typeof list !== "number");
    assert.deepEqual(list.filter((name) => name.startsWith("user.")).toSorted(), names);
  }
  for (const [index, name] of names.entries()) {
    const value = new Uint8Array(index * 128).fill(index);
    assert.deepEqual(extendedCalls.lgetxattr(fd, "file", name), value);
    assert.deepEqual(extendedCalls.fgetxattr(file, name), value);
  }
});
