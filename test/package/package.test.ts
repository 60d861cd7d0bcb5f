// The published package: packed from a copy of the working tree, installed into an empty folder, and run there.
// The copy keeps the build out of the tree that others may be using.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { projectFiles } from "../../tools/check/project-files.ts";

const root = resolve(import.meta.dirname, "../..");
const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
const readyWithinMs = 20_000;
const stopsWithinMs = 10_000;
const written = { skip: existsSync(join(root, "src/main.ts")) ? false : "src/main.ts is not written yet" };

let top = "";
let packed: string[] = [];
const command = () => join(top, "app/node_modules/.bin/ropewalk");

before(() => {
  top = mkdtempSync(join(tmpdir(), "ropewalk-package-"));
  const copy = join(top, "copy");
  for (const file of projectFiles(root)) cpSync(join(root, file), join(copy, file));
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const answer = npm(copy, "pack", "--json", "--pack-destination", top);
  const [tarball] = JSON.parse(answer.slice(answer.indexOf("["))) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = tarball.files.map(({ path }) => path);
  mkdirSync(join(top, "app"));
  writeFileSync(join(top, "app/package.json"), '{"name":"app","private":true}\n');
  npm(join(top, "app"), "install", "--prefer-offline", join(top, tarball.filename));
});

after(() => rmSync(top, { recursive: true, force: true }));

test("the package holds what it needs to run and nothing of the workshop", () => {
  for (const file of ["bin/ropewalk", "dist/base/errors.js", "LICENSE", "docs/errors.md", "package.json"])
    assert.ok(packed.includes(file), `${file} is missing`);
  const foreign = packed.filter(
    (file) => !/^(bin|dist|docs)\/|^(README\.md|LICENSE|package\.json)$/.test(file),
  );
  assert.deepEqual(foreign, []);
  assert.deepEqual(
    packed.filter((file) => /\.test\.|(?<!\.d)\.ts$/.test(file)),
    [],
  );
});

test("the installed command says its version", written, () => {
  const said = execFileSync(command(), ["--version"], { encoding: "utf8", env: cleanEnvironment() });
  assert.equal(said.trim(), version);
});

test(
  "the installed command serves under its own pid and stops on SIGTERM, and the library talks to it",
  written,
  async (context) => {
    const data = join(top, "data");
    const parameters = [
      "serve",
      "--data",
      data,
      "--iscsi",
      "127.0.0.1:0",
      "--nbd",
      "127.0.0.1:0",
      "--http",
      "127.0.0.1:0",
      "--peer",
      "127.0.0.1:0",
    ];
    const daemon = spawn(command(), parameters, {
      stdio: ["ignore", "pipe", "pipe"],
      env: cleanEnvironment(),
    });
    context.after(() => daemon.kill("SIGKILL"));
    let output = "";
    daemon.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    daemon.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise<number | null>((done) => daemon.on("exit", done));

    const endpointsFile = join(data, "endpoints.json");
    for (let waitedMs = 0; !existsSync(endpointsFile); waitedMs += 50) {
      assert.ok(daemon.exitCode === null && waitedMs < readyWithinMs, `it does not serve:\n${output}`);
      await sleep(50);
    }
    const endpoints = JSON.parse(readFileSync(endpointsFile, "utf8")) as { pid: number; http: string[] };
    assert.equal(endpoints.pid, daemon.pid);
    const health = await fetch(`http://${endpoints.http[0]}/healthz`);
    assert.equal(health.status, 200);

    const program = join(top, "app/list.mjs");
    writeFileSync(
      program,
      `import { connect, RopewalkError } from "ropewalk";
    const ropewalk = await connect({ dataDirectory: ${JSON.stringify(data)} });
    await ropewalk.volumes.create({ name: "disk", sizeBytes: 2 ** 30 });
    const again = await ropewalk.volumes.create({ name: "disk", sizeBytes: 2 ** 30 }).catch((error) => error);
    const names = (await ropewalk.volumes.list()).map(({ name }) => name);
    console.log(names.join(), again instanceof RopewalkError && again.code);\n`,
    );
    const said = execFileSync(process.execPath, [program], { encoding: "utf8", env: cleanEnvironment() });
    assert.equal(said, "disk ALREADY_EXISTS\n");

    daemon.kill("SIGTERM");
    const code = await Promise.race([ended, sleep(stopsWithinMs, "still running", { ref: false })]);
    assert.equal(code, 0, output);
  },
);

function npm(folder: string, ...parameters: string[]): string {
  return execFileSync("npm", parameters, {
    cwd: folder,
    encoding: "utf8",
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Without what `npm test` adds: its settings name this repository, its PATH holds the pinned Node. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const path = (process.env["PATH"] ?? "").split(":").filter((entry) => !entry.endsWith("node_modules/.bin"));
  return { ...Object.fromEntries(kept), PATH: path.join(":") };
}
