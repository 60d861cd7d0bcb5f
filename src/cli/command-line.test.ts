import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { type ServedControl, serveControl, stageScrub } from "../../test/support/served-control.ts";
import { connectThrough } from "../client/mod.ts";
import { type CliWorld, runCommandLine, type ServeOptions } from "./mod.ts";

const GIB = 2 ** 30;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly served: ServeOptions[];
}

interface CommandOptions {
  readonly environment?: Record<string, string>;
  readonly isTerminal?: boolean;
  readonly onInterrupt?: CliWorld["onInterrupt"];
}

/** Runs a command in this process. */
async function command(parameters: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  let [out, err] = ["", ""];
  const served: ServeOptions[] = [];
  const code = await runCommandLine({
    parameters,
    environment: options.environment ?? {},
    version: "1.2.3",
    print: async (text) => void (out += text),
    printBytes: async (bytes) => void (out += Buffer.from(bytes).toString("latin1")),
    readFile: (path) => readFile(path),
    writeFile: (path) => Promise.reject(new Error(`no command here writes ${path}`)),
    printError: (text) => (err += text),
    isTerminal: options.isTerminal ?? false,
    onInterrupt: options.onInterrupt ?? (() => () => {}),
    connect: (where) => connectThrough((path) => readFile(path, "utf8"), where),
    serve: async (flags) => {
      served.push(flags);
      return 0;
    },
    receive: async () => 0,
  });
  return { code, out, err, served };
}

function at(daemon: ServedControl): Record<string, string> {
  return { ROPEWALK_URL: daemon.url, ROPEWALK_KEY: daemon.key };
}

/** The JSON that a command prints. */
// biome-ignore lint/suspicious/noExplicitAny: what was printed is what the tests look at
async function json(daemon: ServedControl, ...parameters: string[]): Promise<any> {
  const { code, out, err } = await command([...parameters, "--json"], { environment: at(daemon) });
  assert.equal(code, 0, err);
  assert.equal(err, "");
  return JSON.parse(out);
}

/** The code of the error that a command ends with; it must be one line, and nothing on standard output. */
async function failure(daemon: ServedControl, ...parameters: string[]): Promise<string> {
  const { code, out, err } = await command(parameters, { environment: at(daemon) });
  assert.equal(code, 1, `${parameters.join(" ")}: ${out}${err}`);
  assert.equal(out, "");
  const match = /^ropewalk: ([A-Z_]+): \S.*\n$/.exec(err);
  assert.ok(match, err);
  return match[1]!;
}

test("a session with --json prints one JSON value for each command, with the fields relied upon", async () => {
  await using daemon = await serveControl();
  const volume = await json(daemon, "volume", "create", "disk", "--size", "10GiB");
  assert.equal(volume.name, "disk");
  assert.equal(volume.sizeBytes, 10 * GIB);
  assert.equal(volume.snapshots, 0);
  assert.equal(volume.usedBytes, 0);
  assert.equal(typeof volume.id, "number");
  assert.equal(new Date(volume.createdAt).toISOString(), volume.createdAt);

  assert.equal((await json(daemon, "snapshot", "create", "disk@a")).name, "a");
  const device = daemon.control.exports.open("disk");
  await device.write(8192, new Uint8Array(4096).fill(1), 0);
  await device.close();
  const changed = [{ offsetBytes: 8192, lengthBytes: 4096, kind: "data" }];
  assert.deepEqual(await json(daemon, "snapshot", "diff", "disk@a", "disk"), changed);
  assert.deepEqual(await json(daemon, "snapshot", "diff", "disk@a"), changed);
  await json(daemon, "snapshot", "create", "disk@b");
  assert.deepEqual(await json(daemon, "snapshot", "diff", "disk@a", "disk@b"), changed);
  assert.deepEqual(await json(daemon, "snapshot", "diff", "disk@b", "disk"), []);
  assert.equal((await json(daemon, "volume", "clone", "disk@a", "copy")).origin, "disk@a");
  assert.equal((await json(daemon, "volume", "detach", "copy")).origin, null);
  assert.equal((await json(daemon, "volume", "resize", "copy", "--size", "1TB")).sizeBytes, 1e12);
  assert.equal((await json(daemon, "volume", "show", "disk")).snapshots, 2);
  assert.equal((await json(daemon, "volume", "list")).length, 2);
  assert.equal((await json(daemon, "snapshot", "list")).length, 2);
  assert.equal((await json(daemon, "snapshot", "list", "copy")).length, 0);
  assert.equal((await json(daemon, "snapshot", "show", "disk@b")).volume, "disk");
  assert.equal((await json(daemon, "snapshot", "rollback", "disk@a")).usedBytes, 0);
  const status = await json(daemon, "status");
  assert.deepEqual(Object.keys(status), ["pool", "volumes", "version", "uptimeSeconds", "rssBytes"]);
  const { blocks, ...found } = await json(daemon, "scrub");
  assert.ok(blocks > 0);
  assert.deepEqual(found, { errors: 0, damage: [] });
  assert.deepEqual(Object.keys(await json(daemon, "gc", "--ratio", "1.5")), [
    "segmentsFreed",
    "usedBytes",
    "liveBytes",
  ]);
  await json(daemon, "snapshot", "delete", "disk@a");
  await json(daemon, "volume", "delete", "copy");
  assert.deepEqual(
    (await json(daemon, "volume", "list")).map((each: { name: string }) => each.name),
    ["disk"],
  );
});

test("for people there are tables and sentences", async () => {
  await using daemon = await serveControl();
  const show = async (...parameters: string[]) => {
    const { code, out } = await command(parameters, { environment: at(daemon) });
    assert.equal(code, 0);
    return out;
  };
  assert.match(await show("volume", "list"), /^There are no volumes\. Make one: ropewalk volume create/);
  assert.equal(await show("volume", "create", "disk", "--size", "1.5GiB"), "Made volume disk of 1.5 GiB.\n");
  await show("snapshot", "create", "disk@monday");
  assert.match(
    await show("volume", "list"),
    /^NAME +SIZE +USED .*\ndisk +1\.5 GiB +0 B +1 +0 +- +\d{4}-\d\d-\d\d \S+Z\n$/,
  );
  assert.match(await show("volume", "show", "disk"), /^name: +disk\nid: +\d+\n/);
  assert.match(await show("snapshot", "list"), /\ndisk@monday +1\.5 GiB /);
  assert.equal(await show("snapshot", "diff", "disk@monday"), "Nothing changed.\n");
  assert.match(await show("status"), /^pool: +\d+ MiB of 256 MiB used \(\d+ %\)\n/);
  assert.match(await show("scrub"), /^Read \d+ blocks; all match their checksums\.\n$/);
  assert.match(await show("gc"), /^Freed \d+ segments; \d+ MiB used for 0 B of data\.\n$/);
});

test("every bad input has its code", async () => {
  await using daemon = await serveControl();
  await json(daemon, "volume", "create", "v", "--size", "1GiB");
  await json(daemon, "snapshot", "create", "v@s");
  for (const name of ["", "..", "@", "v@s", "A", "a".repeat(300), "a\u0007b"]) {
    assert.equal(await failure(daemon, "volume", "create", name, "--size", "1GiB"), "INVALID_NAME", name);
    assert.equal(await failure(daemon, "volume", "show", name), "INVALID_NAME", name);
    assert.equal(await failure(daemon, "volume", "delete", name), "INVALID_NAME", name);
    assert.equal(await failure(daemon, "volume", "clone", "v", name), "INVALID_NAME", name);
    assert.equal(await failure(daemon, "snapshot", "create", `v@${name}`), "INVALID_NAME", name);
  }
  for (const size of ["0", "-1", "-1GiB", "513", "1.5", "9223372036854775808", "8EiB", "much", ""]) {
    assert.equal(await failure(daemon, "volume", "create", "w", "--size", size), "INVALID_SIZE", size);
    assert.equal(await failure(daemon, "volume", "resize", "v", "--size", size), "INVALID_SIZE", size);
  }
  assert.equal(await failure(daemon, "volume", "create", "v", "--size", "1GiB"), "ALREADY_EXISTS");
  assert.equal(await failure(daemon, "snapshot", "create", "v@s"), "ALREADY_EXISTS");
  assert.equal(await failure(daemon, "volume", "show", "w"), "VOLUME_NOT_FOUND");
  assert.equal(await failure(daemon, "snapshot", "show", "v@t"), "SNAPSHOT_NOT_FOUND");
  assert.equal(await failure(daemon, "snapshot", "create", "v"), "INVALID_NAME");
  assert.equal(await failure(daemon, "snapshot", "diff", "v@s", "w"), "INVALID_ARGUMENT");
  assert.equal(await failure(daemon, "gc", "--ratio", "low"), "INVALID_ARGUMENT");
  assert.equal(await failure(daemon, "volume", "delete", "v"), "HAS_SNAPSHOTS");
  const device = daemon.control.exports.open("v");
  assert.equal(await failure(daemon, "snapshot", "rollback", "v@s"), "IN_USE");
  await device.close();
});

test("wrong usage exits with 2 and says what is wrong", async () => {
  for (const parameters of [
    ["volume", "create", "v"],
    ["volume", "create", "--size", "1GiB"],
    ["volume", "create", "v", "--size"],
    ["volume", "create", "v", "w", "--size", "1GiB"],
    ["volume", "fold"],
    ["walk"],
    ["status", "--loud"],
    ["volume"],
    [],
  ]) {
    const { code, out, err } = await command(parameters);
    assert.equal(code, 2, parameters.join(" "));
    assert.equal(out, "");
    assert.notEqual(err, "");
  }
});

test("help and version go to standard output and exit with 0", async () => {
  assert.deepEqual(await command(["--version"]), { code: 0, out: "1.2.3\n", err: "", served: [] });
  for (const parameters of [
    ["--help"],
    ["help"],
    ["volume", "--help"],
    ["volume", "create", "--help"],
    ["serve", "-h"],
  ]) {
    const { code, out, err } = await command(parameters);
    assert.deepEqual([code, err], [0, ""]);
    assert.match(out, /^Usage: ropewalk /);
  }
});

test("a scrub that finds damage prints it and exits with 1", async () => {
  await using daemon = await serveControl();
  const damage = ["block 5 of v", "block 6 of v"];
  stageScrub(daemon.pool, { damage });
  const plain = await command(["scrub"], { environment: at(daemon) });
  assert.deepEqual([plain.code, plain.err], [1, ""]);
  assert.equal(plain.out, "Read 7 blocks; 2 damaged:\n  block 5 of v\n  block 6 of v\n");
  const { code, out } = await command(["scrub", "--json"], { environment: at(daemon) });
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(out), { blocks: 7, errors: 2, damage });
});

test("Ctrl-C cancels a scrub at the daemon, and the terminal's line is empty again", async () => {
  await using daemon = await serveControl();
  stageScrub(daemon.pool, { gate: new Promise(() => {}) });
  let isForgotten = false;
  const { code, out, err } = await command(["scrub"], {
    environment: at(daemon),
    isTerminal: true,
    onInterrupt: (action) => {
      const timer = setTimeout(action, 100);
      return () => {
        isForgotten = true;
        clearTimeout(timer);
      };
    },
  });
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.match(err, /scrub: \[#+-\] {2}99 %, 0 errors\r\u001b\[2Kropewalk: CANCELLED: .*\n$/);
  assert.equal(daemon.control.scrub.report().state, "cancelled");
  assert.ok(isForgotten);
});

test("the daemon is found by flag before variable, and its absence is UNREACHABLE", async () => {
  await using daemon = await serveControl();
  const environment = { ROPEWALK_URL: "http://127.0.0.1:1", ROPEWALK_KEY: daemon.key };
  assert.equal((await command(["status", "--url", daemon.url], { environment })).code, 0);
  for (const parameters of [["status"], ["status", "--data", "/nonexistent"]]) {
    const { code, err } = await command(parameters, { environment });
    assert.equal(code, 1);
    assert.match(err, /^ropewalk: UNREACHABLE: /);
  }
});

test("serve hands its flags on by the keys of the configuration", async () => {
  const { code, served } = await command(
    "serve --data d --nbd a:1 --nbd b:2 --iscsi d:4,2 --http c:3 --peer e:5 --pool-size 1GiB --insecure --config f --first-volume v:1GiB".split(
      " ",
    ),
  );
  assert.equal(code, 0);
  assert.deepEqual(served, [
    {
      configFile: "f",
      firstVolume: "v:1GiB",
      flags: {
        data: "d",
        "nbd.addresses": ["a:1", "b:2"],
        "iscsi.addresses": ["d:4,2"],
        "http.address": "c:3",
        "peer.address": "e:5",
        "pool.size": "1GiB",
        insecure: true,
        logLevel: undefined,
      },
    },
  ]);
});
