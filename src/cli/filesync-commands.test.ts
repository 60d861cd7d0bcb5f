import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type FilesyncTestWorld, filesyncWorld } from "../../test/support/filesync-world.ts";
import { serveControl } from "../../test/support/served-control.ts";
import { connectThrough } from "../client/mod.ts";
import { type CliWorld, runCommandLine } from "./mod.ts";

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Commands extends AsyncDisposable {
  readonly world: FilesyncTestWorld;
  readonly received: string[];
  run(...parameters: string[]): Promise<Outcome>;
  // biome-ignore lint/suspicious/noExplicitAny: what was printed is what the tests look at
  json(...parameters: string[]): Promise<any>;
}

/** A daemon that replicates nothing, with a directory `source`, and commands to it in this process. */
async function commands(options: Partial<CliWorld> = {}): Promise<Commands> {
  const world = filesyncWorld();
  for (const name of ["data", "source"]) mkdirSync(world.folder.file(name));
  const daemon = await serveControl({}, { filesyncs: world.filesyncs, filesyncTargets: world.targets });
  const received: string[] = [];
  const run = async (...parameters: string[]): Promise<Outcome> => {
    let [out, err] = ["", ""];
    const code = await runCommandLine({
      parameters: ["filesync", ...parameters],
      environment: { ROPEWALK_URL: daemon.url, ROPEWALK_KEY: daemon.key },
      version: "1.2.3",
      print: async (text) => void (out += text),
      printBytes: async () => assert.fail("no command here prints bytes"),
      readFile: (path) => readFile(path),
      writeFile: async (path, pieces, mode) => writeFile(path, pieces as Iterable<Uint8Array>, { mode }),
      printError: (text) => (err += text),
      isTerminal: false,
      onInterrupt: () => () => {},
      connect: (where) => connectThrough((path) => readFile(path, "utf8"), where),
      serve: async () => 0,
      receive: async (directory) => {
        received.push(directory);
        return 0;
      },
      ...options,
    });
    return { code, out, err };
  };
  return {
    world,
    received,
    run,
    async json(...parameters) {
      const { code, out, err } = await run(...parameters, "--json");
      assert.deepEqual([code, err], [0, ""]);
      return JSON.parse(out);
    },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      world[Symbol.dispose]();
    },
  };
}

test("add makes paths absolute and hands on what was said; keys come from files", async () => {
  await using cli = await commands();
  const { folder, started } = cli.world;
  const key = "ab".repeat(32);
  writeFileSync(folder.file("key"), `${key}\n`);
  const relative = folder
    .file("source")
    .replace(/^\//, `${"../".repeat(process.cwd().split("/").length - 1)}`);
  const added = await cli.json(
    ...["add", "a", "--source", relative, "--to", folder.file("copy"), "--to", "ropewalk://127.0.0.1:1/in"],
    ...["--key", folder.file("key"), "--threads", "3", "--mode", "incremental", "--deletes", "keep"],
    ...["--exclude", "*.o", "--exclude", "/cache", "--barrier", "path", "--bandwidth", "1MiB"],
  );
  const { name, source, threads, mode, deletes, excludes, barrier, bandwidthBytesPerSecond } = added;
  assert.deepEqual(
    { name, source, threads, mode, deletes, excludes, barrier, bandwidthBytesPerSecond },
    {
      name: "a",
      source: folder.file("source"),
      threads: 3,
      mode: "incremental",
      deletes: "keep",
      excludes: ["*.o", "/cache"],
      barrier: "path",
      bandwidthBytesPerSecond: 2 ** 20,
    },
  );
  assert.equal(started.get("a")!.parts.targets.length, 2);
  assert.match(readFileSync(folder.file("data/filesync/a.json"), "utf8"), new RegExp(key));
});

test("list, show, pause, resume and delete speak to people in tables and sentences", async () => {
  await using cli = await commands();
  const { folder } = cli.world;
  assert.match(
    (await cli.run("list")).out,
    /^There are no synchronizations\. Make one: ropewalk filesync add/,
  );
  const copy = folder.file("copy");
  const { out } = await cli.run("add", "a", "--source", folder.file("source"), "--to", copy);
  assert.equal(out, `Replicating ${folder.file("source")} to ${copy}.\n`);
  assert.match(
    (await cli.run("list")).out,
    /^NAME +STATE +SOURCE .*\na +live +\S+source +\S+copy +1\.5 s +5 \(4 KiB\) +1\n$/,
  );
  const shown = (await cli.run("show", "a")).out;
  for (const line of [/^state: +live$/m, /^lag: +1\.5 s, 5 waiting \(4 KiB\)$/m, /p: open: EACCES$/m])
    assert.match(shown, line);
  assert.match((await cli.run("pause", "a")).out, /^Paused a/);
  assert.match((await cli.run("list")).out, /a +paused/);
  assert.equal((await cli.run("resume", "a")).code, 0);
  assert.deepEqual(await cli.json("delete", "a"), { name: "a", deleted: true });
});

test("show --wait returns when the targets equal the source as of the call", async () => {
  await using cli = await commands();
  const { folder, started } = cli.world;
  await cli.run("add", "a", "--source", folder.file("source"), "--to", folder.file("copy"));
  const synchronization = started.get("a")!;
  let isDone = false;
  const waiting = cli.json("show", "a", "--wait").then((shown) => {
    isDone = true;
    return shown;
  });
  while (!synchronization.calls.includes("settled")) await cli.run("list");
  assert.equal(isDone, false);
  synchronization.settling.resolve();
  const shown = await waiting;
  assert.deepEqual([shown.name, shown.wait], ["a", undefined]);
});

test("sync shows a bar on a terminal, says what it did, and Ctrl-C cancels it", async () => {
  const interrupts: (() => void)[] = [];
  await using cli = await commands({
    isTerminal: true,
    onInterrupt: (action) => {
      interrupts.push(action);
      return () => {};
    },
  });
  const { folder, started } = cli.world;
  await cli.run("add", "a", "--source", folder.file("source"), "--to", folder.file("copy"));
  const synchronization = started.get("a")!;
  synchronization.bulk = {
    filesDone: 1,
    filesTotal: 4,
    bytesDone: 2048,
    bytesTotal: 8192,
    bytesPerSecond: 1024,
    secondsLeft: 6,
  };
  const running = cli.run("sync", "a", "--mode", "full", "--allow-deletes");
  while (synchronization.calls.length < 2) await cli.run("list");
  synchronization.syncing.resolve({ copied: 4, removed: 1, bytes: 8192 });
  const { code, out, err } = await running;
  assert.deepEqual([code, out], [0, "Copied 4 files (8 KiB), removed 1.\n"]);
  assert.match(err, /sync: \[######-+\] {2}25 %, 1 of 4 files, 2 KiB of 8 KiB, 1 KiB\/s, 6 s left/);
  assert.equal(synchronization.calls.at(-1), 'sync {"mode":"full","allowDeletes":true}');

  synchronization.syncing = Promise.withResolvers();
  const cancelled = cli.run("sync", "a");
  while (synchronization.calls.length < 3) await cli.run("list");
  interrupts.at(-1)!();
  const end = await cancelled;
  assert.equal(end.code, 1);
  assert.match(end.err, /ropewalk: CANCELLED: /);
  assert.equal(synchronization.calls.at(-1), "cancelSync");

  synchronization.syncing = Promise.withResolvers();
  synchronization.syncing.resolve({ copied: 1, removed: 0, bytes: 5, dryRun: [{ path: "f", what: "copy" }] });
  assert.match(
    (await cli.run("sync", "a", "--dry-run")).out,
    /^copy +f\nWould copy 1 files \(5 B\) and remove 0;/,
  );
});

test("verify exits with 1 when something differs", async () => {
  await using cli = await commands();
  const { folder, started } = cli.world;
  await cli.run("add", "a", "--source", folder.file("source"), "--to", folder.file("copy"));
  const synchronization = started.get("a")!;
  synchronization.verifying.resolve({ files: 2, bytes: 10, differences: 0, different: [] });
  assert.deepEqual(await cli.run("verify", "a"), {
    code: 0,
    err: "",
    out: "2 files (10 B) compared; all are equal.\n",
  });
  synchronization.verifying = Promise.withResolvers();
  const different = [{ to: "/copy", path: "f", what: "content" as const }];
  synchronization.verifying.resolve({ files: 2, bytes: 10, differences: 1, different });
  const { code, out } = await cli.run("verify", "a");
  assert.equal(code, 1);
  assert.match(out, /^content: f at \/copy\n2 files .* 1 differ\./);
});

test("a target's key goes to a file for its owner only, or is shown once; no file is written over", async () => {
  await using cli = await commands();
  const { folder } = cli.world;
  const file = folder.file("key");
  const { createdAt, ...made } = await cli.json(
    "target",
    "add",
    "in",
    "--root",
    folder.file("in"),
    "--key",
    file,
  );
  assert.equal(typeof createdAt, "string");
  assert.deepEqual(made, { name: "in", root: folder.file("in"), keyFile: file });
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, "utf8"), /^[0-9a-f]{64}\n$/);
  const again = await cli.run("target", "add", "more", "--root", folder.file("more"), "--key", file);
  assert.deepEqual([again.code, again.err.split(":")[1]], [1, " INVALID_ARGUMENT"]);
  assert.match(
    (await cli.run("target", "add", "more", "--root", folder.file("more"))).out,
    /\n[0-9a-f]{64}\n$/,
  );
  assert.match((await cli.run("target", "list")).out, /^NAME +ROOT +MADE\nin .*\nmore /);
  assert.deepEqual(await cli.json("target", "delete", "in"), { name: "in", deleted: true });
});

test("a target whose key cannot be written is not there afterwards", async () => {
  await using cli = await commands({
    writeFile: () => Promise.reject(Object.assign(new Error(), { code: "ENOSPC" })),
  });
  const { folder } = cli.world;
  const { code } = await cli.run(
    "target",
    "add",
    "in",
    "--root",
    folder.file("in"),
    "--key",
    folder.file("key"),
  );
  assert.equal(code, 1);
  assert.deepEqual(await cli.json("target", "list"), []);
});

test("what was said wrongly is one line with its code", async () => {
  await using cli = await commands();
  const { folder } = cli.world;
  writeFileSync(folder.file("no-key"), "secret\n");
  const add = ["add", "a", "--source", folder.file("source")];
  const to = ["--to", folder.file("copy")];
  for (const [parameters, code] of [
    [[...add, ...to, "--threads", "17"], "INVALID_ARGUMENT"],
    [[...add, ...to, "--threads", "x"], "INVALID_ARGUMENT"],
    [[...add, ...to, "--deletes", "all"], "INVALID_ARGUMENT"],
    [[...add, ...to, "--bandwidth", "fast"], "INVALID_SIZE"],
    [[...add, ...to, "--key", folder.file("no-key")], "INVALID_ARGUMENT"],
    [[...add, "--to", "ropewalk://h:1/n"], "INVALID_ARGUMENT"],
    [["add", "A", "--source", ".", ...to], "INVALID_NAME"],
    [["show", "none"], "NOT_FOUND"],
    [["sync", "none", "--mode", "half"], "INVALID_ARGUMENT"],
  ] as const) {
    const { code: exit, out, err } = await cli.run(...parameters);
    assert.deepEqual([exit, out], [1, ""], parameters.join(" "));
    assert.match(err, new RegExp(`^ropewalk: ${code}: [^\\n]+\\n$`), parameters.join(" "));
  }
  assert.equal((await cli.run("add", "a", ...to)).code, 2);
});

test("receive is no command for people, and hands its directory on", async () => {
  await using cli = await commands();
  assert.doesNotMatch((await cli.run("--help")).out, /receive/);
  assert.equal((await cli.run("receive", "--", "/srv/copy")).code, 0);
  assert.deepEqual(cli.received, ["/srv/copy"]);
});
