// bin/ropewalk finds the right Node and becomes it. Each test copies the script beside stand-ins for Node that
// print how they were started.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { arch, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type TestContext, test } from "node:test";

const script = resolve(import.meta.dirname, "../../bin/ropewalk");
const pinned = `node_modules/node-linux-${arch()}/bin/node`;

interface Installed {
  top: string;
  bin: string;
}

/** What keeps V8's heap near what lives in it. */
const HEAP = "--max-semi-space-size=2 --heap-growing-percent=50 --no-parallel-scavenge --no-flush-bytecode";

/** The script in `folder` under a temporary top folder, with `program` (src/main.ts or dist/main.js) beside it. */
function install(context: TestContext, { folder, program }: { folder: string; program: string }): Installed {
  const top = realpathSync(mkdtempSync(join(tmpdir(), "ropewalk-bin-")));
  context.after(() => rmSync(top, { recursive: true, force: true }));
  const bin = join(top, folder, "bin/ropewalk");
  mkdirSync(dirname(bin), { recursive: true });
  copyFileSync(script, bin);
  chmodSync(bin, 0o755);
  write(join(top, folder, program), "");
  return { top, bin };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o755 });
}

/** A stand-in for Node that prints its name, pid, thread pool size and arguments. */
function standIn(file: string, name: string): void {
  write(file, `#!/bin/sh\necho "${name}" "$$" "$UV_THREADPOOL_SIZE" "$@"\n`);
}

function start(bin: string, { path = "/usr/bin:/bin", threads }: { path?: string; threads?: string } = {}) {
  const env = { PATH: path, ...(threads === undefined ? {} : { UV_THREADPOOL_SIZE: threads }) };
  const { pid, stdout, stderr, status } = spawnSync(bin, ["serve", "two words"], { env, encoding: "utf8" });
  return { pid, stdout: stdout.trim(), stderr, status };
}

test("a checkout runs src/main.ts with the Node beside it, under the script's own pid", (context) => {
  const { top, bin } = install(context, { folder: "checkout", program: "src/main.ts" });
  standIn(join(top, "checkout", pinned), "pinned");
  standIn(join(top, "elsewhere/node"), "foreign");
  const { pid, stdout } = start(bin, { path: `${top}/elsewhere:/usr/bin:/bin` });
  assert.equal(stdout, `pinned ${pid} 16 ${HEAP} ${top}/checkout/src/main.ts serve two words`);
});

test("a package runs dist/main.js with the Node that npm put above it, through any chain of links", (context) => {
  const { top, bin } = install(context, { folder: "app/node_modules/ropewalk", program: "dist/main.js" });
  standIn(join(top, "app", pinned), "pinned");
  mkdirSync(join(top, "app/node_modules/.bin"));
  symlinkSync("../ropewalk/bin/ropewalk", join(top, "app/node_modules/.bin/ropewalk"));
  symlinkSync(join(top, "app/node_modules/.bin/ropewalk"), join(top, "link"));
  assert.equal(dirname(dirname(bin)), join(top, "app/node_modules/ropewalk"));
  const { pid, stdout } = start(join(top, "link"));
  assert.equal(
    stdout,
    `pinned ${pid} 16 ${HEAP} ${top}/app/node_modules/ropewalk/dist/main.js serve two words`,
  );
});

test("a thread pool size that is set already stays", (context) => {
  const { top, bin } = install(context, { folder: "checkout", program: "src/main.ts" });
  standIn(join(top, "checkout", pinned), "pinned");
  assert.match(start(bin, { threads: "7" }).stdout, /^pinned \d+ 7 /);
});

test("without a pinned Node, one in PATH serves if it is new enough, and else a sentence says what to do", (context) => {
  const { top, bin } = install(context, { folder: "checkout", program: "src/main.ts" });
  write(join(top, "new/node"), `#!/bin/sh\n[ "$1" = -p ] && echo 24 || echo new "$@"\n`);
  write(join(top, "old/node"), `#!/bin/sh\n[ "$1" = -p ] && echo 20 || echo old "$@"\n`);
  assert.equal(
    start(bin, { path: `${top}/new:/usr/bin:/bin` }).stdout,
    `new ${HEAP} ${top}/checkout/src/main.ts serve two words`,
  );
  const refused = start(bin, { path: `${top}/old:/usr/bin:/bin` });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^ropewalk: Node 24 is not installed here\. .*\n$/);
});
