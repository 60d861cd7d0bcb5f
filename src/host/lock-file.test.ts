import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDirectoryDisk } from "./directory-disk.ts";
import { linuxCalls } from "./linux-calls.ts";
import { temporaryDirectory } from "./testing/temporary-directory.ts";

const diskFile = join(import.meta.dirname, "directory-disk.ts");

test("a second process is told who has the directory, until that one dies", async (t) => {
  const directory = temporaryDirectory(t);
  const script = `
    import { openDirectoryDisk } from ${JSON.stringify(diskFile)};
    const disk = await openDirectoryDisk(${JSON.stringify(directory)});
    await disk.lock();
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => holder.kill("SIGKILL"));
  await once(holder.stdout, "data");

  const disk = await openDirectoryDisk(directory);
  await assert.rejects(disk.lock(), {
    code: "POOL_IN_USE",
    message: new RegExp(`in use by process ${holder.pid};`),
  });
  assert.equal(readFileSync(join(directory, "lock"), "utf8"), `${holder.pid}\n`);

  holder.kill("SIGKILL");
  await once(holder, "exit");
  await disk.lock();
  assert.equal(readFileSync(join(directory, "lock"), "utf8"), `${process.pid}\n`);
  await disk.unlock();
});

test("one process cannot open a directory twice either, and can again after unlock", async (t) => {
  const directory = temporaryDirectory(t);
  const first = await openDirectoryDisk(directory);
  const second = await openDirectoryDisk(directory);
  await first.lock();
  await assert.rejects(second.lock(), { code: "POOL_IN_USE" });
  await first.unlock();
  await second.lock();
  await second.unlock();
  await first.lock();
  await first.unlock();
});

test("a child process does not inherit the lock", async (t) => {
  const directory = temporaryDirectory(t);
  const first = await openDirectoryDisk(directory);
  await first.lock();
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  await first.unlock();
  const second = await openDirectoryDisk(directory);
  await second.lock();
  await second.unlock();
});

test("nonsense in the lock file neither locks nor shows in the message", async (t) => {
  const directory = temporaryDirectory(t);
  writeFileSync(join(directory, "lock"), "999999999999999999 \x1b[31m");
  const first = await openDirectoryDisk(directory);
  await first.lock();
  writeFileSync(join(directory, "lock"), "\x1b[31mboo");
  const second = await openDirectoryDisk(directory);
  await assert.rejects(second.lock(), { code: "POOL_IN_USE", message: /in use by another process;/ });
  await first.unlock();
});

test("a lock that the file system does not know is IO_ERROR", async (t) => {
  const disk = await openDirectoryDisk(temporaryDirectory(t), {
    calls: { ...linuxCalls, lockExclusive: () => -95 },
  });
  await assert.rejects(disk.lock(), { code: "IO_ERROR", message: /flock of .*ENOTSUP/ });
});
