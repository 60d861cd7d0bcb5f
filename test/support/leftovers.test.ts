import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

const leftovers = join(import.meta.dirname, "leftovers.ts");
const folders = join(import.meta.dirname, "temporary-folder.ts");

/** A process that makes a folder and another process, says both, and then does `ending`. */
function troublemaker(ending: string) {
  const program = `
    import { spawn } from "node:child_process";
    import { killAtExit } from ${JSON.stringify(leftovers)};
    import { TemporaryFolder } from ${JSON.stringify(folders)};
    const sleeper = spawn("sleep", ["300"], { stdio: "ignore" });
    killAtExit(sleeper.pid);
    console.log(JSON.stringify({ pid: sleeper.pid, folder: new TemporaryFolder().path }));
    ${ending}`;
  return spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** A process that has ended but that nobody has asked about yet (a zombie) does not run. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

for (const [how, ending] of [
  ["throws", "setTimeout(() => { throw new Error(); }, 50);"],
  ["exits", "setTimeout(() => process.exit(3), 50);"],
  ["is interrupted", "setTimeout(() => {}, 300_000);"],
] as const) {
  test(`what a test process made is gone after it ${how}`, async () => {
    const child = troublemaker(ending);
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string };
    assert.ok(isRunning(pid) && existsSync(folder));
    if (how === "is interrupted") child.kill("SIGINT");
    await once(child, "exit");
    for (let attempt = 0; attempt < 100 && isRunning(pid); attempt++) await delay(20);
    assert.equal(isRunning(pid), false);
    assert.equal(existsSync(folder), false);
  });
}
