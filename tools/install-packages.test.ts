// The set-up before every npm script: it installs when something is missing or different, and only then.
// Each test runs a copy of the script in a small tree, with an npm of its own in PATH that notes its arguments.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";

interface Tree {
  /** Versions in package-lock.json and in node_modules, for the package `a`. */
  wanted: string;
  installed?: string;
  npmExitCode?: number;
}

function install(context: TestContext, { wanted, installed, npmExitCode = 0 }: Tree) {
  const root = mkdtempSync(join(tmpdir(), "ropewalk-install-"));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  const write = (file: string, text: string) => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text, { mode: 0o755 });
  };
  const lock = (version: string) =>
    JSON.stringify({
      packages: {
        "": { version: "0.1.0" },
        "node_modules/a": { version },
        "node_modules/foreign": { version: "1.0.0", optional: true },
      },
    });
  write("package-lock.json", lock(wanted));
  if (installed !== undefined) {
    const { packages } = JSON.parse(lock(installed)) as { packages: Record<string, unknown> };
    delete packages["node_modules/foreign"];
    write("node_modules/.package-lock.json", JSON.stringify({ packages }));
    write("node_modules/a/package.json", "{}");
    write("node_modules/.bin/node", "");
  }
  write(
    "path/npm",
    `#!/bin/sh\necho "$@" > ${root}/npm-ran\nmkdir -p ${root}/node_modules/.bin
touch ${root}/node_modules/.bin/node\nexit ${npmExitCode}\n`,
  );
  mkdirSync(join(root, "tools"));
  const script = join(root, "tools/install-packages.mjs");
  copyFileSync(join(import.meta.dirname, "install-packages.mjs"), script);
  const { status } = spawnSync(process.execPath, [script], { env: { PATH: `${root}/path:/usr/bin:/bin` } });
  const note = join(root, "npm-ran");
  return { status, npm: existsSync(note) ? readFileSync(note, "utf8").trim() : undefined };
}

test("packages that agree with the lockfile are left alone, absent optional ones included", (context) => {
  assert.deepEqual(install(context, { wanted: "1.0.0", installed: "1.0.0" }), { status: 0, npm: undefined });
});

test("a tree without packages gets them", (context) => {
  assert.deepEqual(install(context, { wanted: "1.0.0" }), { status: 0, npm: "ci --loglevel=error" });
});

test("another version than the lockfile's is replaced", (context) => {
  const { npm } = install(context, { wanted: "1.0.1", installed: "1.0.0" });
  assert.equal(npm, "ci --loglevel=error");
});

test("npm's failure is passed on", (context) => {
  assert.equal(install(context, { wanted: "1.0.0", npmExitCode: 7 }).status, 7);
});
