import assert from "node:assert/strict";
import { test } from "node:test";
import { DirectoryEntries } from "./directory-entries.ts";
import { lastStatus } from "./last-status.ts";
import { done, putDirectories, putFile, temporaryTree } from "./testing/temporary-tree.ts";
import { OPEN_DIRECTORY, treeCalls } from "./tree-calls.ts";

const EVERYTHING = { isPassedOver: () => false, isDottedOnly: true };

test("entries of a very long directory are all read, and then those of a short one", async (t) => {
  const { fd } = await temporaryTree(t);
  const expected: string[] = [];
  for (let file = 0; file < 3000; file += 1) {
    const name = `${file} ${"x".repeat(file % 200)}`;
    putFile(fd, name, "12");
    expected.push(name);
  }
  expected.push(putDirectories(fd, ["short"]));
  putFile(fd, "short/file", "123");
  const entries = new DirectoryEntries();
  const read = (directory: number) => {
    done(treeCalls.fstat(directory));
    const { device } = lastStatus;
    done(entries.readNames(directory));
    done(entries.look(directory, device, EVERYTHING));
    const found = Array.from({ length: entries.count }, (_, entry) => ({
      name: entries.name(entry),
      sizeBytes: entries.status(entry).attributes(0).sizeBytes,
    }));
    return { found, fileBytes: entries.fileBytes, directories: entries.directories };
  };
  const short = done(treeCalls.openat(fd, "short", OPEN_DIRECTORY));
  t.after(() => treeCalls.close(short));
  const long = read(fd);
  assert.deepEqual(long.found.map(({ name }) => name).sort(), expected.sort());
  assert.ok(long.found.every(({ name, sizeBytes }) => sizeBytes === (name === "short" ? 0 : 2)));
  assert.equal(long.fileBytes, 6000);
  assert.deepEqual(long.directories, ["short"]);
  assert.deepEqual(read(short), {
    found: [{ name: "file", sizeBytes: 3 }],
    fileBytes: 3,
    directories: [],
  });
});
