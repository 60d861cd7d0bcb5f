import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { test } from "node:test";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { linuxCalls } from "./linux-calls.ts";
import { openServedTarget } from "./served-target.ts";

test("a directory that another process has open is TARGET_IN_USE, and free again when that ends", async () => {
  using folder = new TemporaryFolder();
  const path = realpathSync(folder.path);
  const { open } = await import("node:fs/promises");
  const other = await open(path, "r");
  assert.equal(linuxCalls.lockExclusive(other.fd), 0);
  await assert.rejects(openServedTarget(path, { deletes: "mirror" }), { code: "TARGET_IN_USE" });
  await other.close();
  const { tree } = await openServedTarget(path, { deletes: "mirror" });
  const late = await open(path, "r");
  assert.equal(linuxCalls.lockExclusive(late.fd), -11, "it is locked while it is open");
  await tree.close();
  assert.equal(linuxCalls.lockExclusive(late.fd), 0);
  await late.close();
});

test("who opens a directory that is being closed waits for that", async () => {
  using folder = new TemporaryFolder();
  const path = realpathSync(folder.path);
  for (let round = 0; round < 3; round++) {
    const { tree } = await openServedTarget(path, { deletes: "trash" });
    const opening = openServedTarget(path, { deletes: "mirror" });
    const closing = tree.close();
    const again = await opening;
    await closing;
    await again.tree.close();
  }
});

test("a directory that is not there is NOT_FOUND, and is not made", async () => {
  using folder = new TemporaryFolder();
  await assert.rejects(openServedTarget(folder.file("none"), { deletes: "keep" }), { code: "NOT_FOUND" });
});
