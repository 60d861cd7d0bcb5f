import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type ServedControl, serveControl } from "../../test/support/served-control.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { makeLayer } from "../../test/support/tree-layer.ts";
import { connectThrough } from "../client/mod.ts";
import { type CliWorld, runCommandLine } from "./mod.ts";

const MIB = 2 ** 20;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly data: Buffer;
  readonly err: string;
}

interface World extends AsyncDisposable {
  readonly daemon: ServedControl;
  readonly folder: TemporaryFolder;
  run(...parameters: string[]): Promise<Outcome>;
  // biome-ignore lint/suspicious/noExplicitAny: what was printed is what the tests look at
  json(...parameters: string[]): Promise<any>;
}

/** A daemon with a volume `v` of 4 MiB that holds 8 KiB of nines at 4096, and commands to it in this process. */
async function world(options: Partial<CliWorld> = {}): Promise<World> {
  const daemon = await serveControl();
  const folder = new TemporaryFolder();
  const run = async (...parameters: string[]): Promise<Outcome> => {
    let [out, err] = ["", ""];
    const data: Uint8Array[] = [];
    const code = await runCommandLine({
      parameters,
      environment: { ROPEWALK_URL: daemon.url, ROPEWALK_KEY: daemon.key },
      version: "1.2.3",
      print: async (text) => void (out += text),
      printBytes: async (bytes) => void data.push(bytes),
      readFile: (path) => readFile(path),
      writeFile: async (path, pieces, mode) => {
        const parts: Uint8Array[] = [];
        for await (const piece of pieces) parts.push(piece);
        await writeFile(path, Buffer.concat(parts), { mode });
      },
      printError: (text) => (err += text),
      isTerminal: false,
      onInterrupt: () => () => {},
      connect: (where) =>
        connectThrough(
          (path) => readFile(path, "utf8"),
          where,
          () => performance.now(),
        ),
      serve: async () => 0,
      receive: async () => 0,
      ...options,
    });
    return { code, out, err, data: Buffer.concat(data) };
  };
  await daemon.control.volumes.create({ name: "v", sizeBytes: 4 * MIB });
  const device = daemon.control.exports.open("v");
  await device.write(4096, new Uint8Array(8192).fill(9), 0);
  await device.close();
  return {
    daemon,
    folder,
    run,
    async json(...parameters) {
      const { code, out, err } = await run(...parameters, "--json");
      assert.deepEqual([code, err], [0, ""]);
      return JSON.parse(out);
    },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("a token is a file for its owner only, and does all that a token does", async () => {
  await using cli = await world();
  const file = cli.folder.file("v.token");
  const made = await cli.json("token", "create", "v", "--offset", "4KiB", "--length", "1MiB", "--out", file);
  assert.deepEqual(made, { source: "v", file, lengthBytes: MIB, tokens: 1 });
  const { size, mode } = await stat(file);
  assert.deepEqual([size, mode & 0o777], [512, 0o600]);

  const shown = await cli.json("token", "show", file);
  assert.deepEqual([shown.state, shown.lengthBytes, shown.tokens[0].source], ["valid", MIB, "v"]);
  assert.equal((await cli.json("token", "list"))[0].id, shown.tokens[0].id);

  const { code, data, out } = await cli.run("token", "read", file, "--offset", "8190", "--length", "4");
  assert.deepEqual([code, out, [...data]], [0, "", [9, 9, 0, 0]]);
  const target = cli.folder.file("data");
  assert.deepEqual(await cli.json("token", "read", file, "--out", target), { file: target, bytes: MIB });
  assert.ok((await readFile(target)).subarray(0, 8192).every((byte) => byte === 9));
  assert.equal((await cli.run("token", "read", file, "--json")).code, 1);

  await cli.json("volume", "create", "w", "--size", "2MiB");
  const written = await cli.json(
    "token",
    "write",
    file,
    "w",
    "--token-offset",
    "4096",
    "--offset",
    "1MiB",
    "--length",
    "4KiB",
  );
  assert.deepEqual([written.bytes, written.bytesMoved], [4096, 0]);
  assert.ok(written.elapsedMs > 0);

  await cli.json("token", "revoke", file);
  const after = await cli.run("token", "read", file);
  assert.deepEqual([after.code, after.data.length], [1, 0]);
  assert.match(after.err, /^ropewalk: TOKEN_REVOKED: /);
});

test("T2: a token is written in pieces, each with places of its own or going on from the one before", async () => {
  await using cli = await world();
  const file = cli.folder.file("v.token");
  await cli.json("token", "create", "v", "--out", file);
  const write = ["token", "write", file, "v"];
  const pieces = ["--piece", "4KiB:2MiB:4KiB", "--piece", "::512", "--piece", "0:3MiB:"];
  const cut = await cli.run(...write, ...pieces);
  assert.deepEqual([cut.code, cut.err.split(":")[1]], [1, " NO_SPACE"]);
  const written = await cli.json(...write, ...pieces.slice(0, 4));
  assert.deepEqual(written.pieces, [
    { tokenOffsetBytes: 4096, offsetBytes: 2 * MIB, bytes: 4096 },
    { tokenOffsetBytes: 8192, offsetBytes: 2 * MIB + 4096, bytes: 512 },
  ]);
  const { out } = await cli.run(...write, ...pieces.slice(0, 4));
  assert.equal(out, "Wrote 4.5 KiB into v in 2 pieces; 1 KiB of data moved.\n");
  for (const [wrong, code] of [
    [["--piece", "1:2"], "INVALID_ARGUMENT"],
    [["--piece", "x::"], "INVALID_SIZE"],
    [["--piece", "::", "--length", "512"], "INVALID_ARGUMENT"],
  ] as const) {
    const { code: exit, err } = await cli.run(...write, ...wrong);
    assert.deepEqual([exit, err.split(":")[1]], [1, ` ${code}`]);
  }
});

test("T5: --single gives one token where the data is on several members", async () => {
  await using cli = await world();
  await cli.json("volume", "create", "w", "--size", "4MiB");
  const { exports } = cli.daemon.control;
  const open = exports.open.bind(exports);
  const file = cli.folder.file("v.token");
  for (const [options, tokens, lengthBytes] of [
    [["--single"], 1, 4 * MIB],
    [["--single", "--secondary", "checksum"], 2, 4 * MIB],
    [[], 64, 4 * MIB],
  ] as const) {
    const { device } = await makeLayer("stripe", [open("v"), open("w")], { chunkBytes: 65_536 });
    exports.open = () => device;
    const made = await cli.json("token", "create", "v", "--out", file, ...options);
    exports.open = open;
    assert.deepEqual(made, { source: "v", file, lengthBytes, tokens });
    const { data } = await cli.run("token", "read", file, "--offset", "4KiB", "--length", "16KiB");
    assert.ok(data.subarray(0, 8192).every((byte) => byte === 9));
    assert.ok(data.length === 16_384 && data.subarray(8192).every((byte) => byte === 0));
  }
});

test("the options of a token become what it is", async () => {
  await using cli = await world();
  const file = cli.folder.file("t");
  await cli.json(
    ...["token", "create", "v", "--out", file, "--ttl", "30", "--inactivity", "20", "--persistent"],
    ...["--delete-on-use", "--policy", "invalidate", "--priority", "3", "--skip", "0"],
  );
  const { tokens } = await cli.json("token", "show", file);
  const { policy, persistent, deleteOnUse, priority, inactivitySeconds, createdAt, expiresAt } = tokens[0];
  assert.deepEqual(
    [policy, persistent, deleteOnUse, priority, inactivitySeconds],
    ["invalidate", true, true, 3, 20],
  );
  assert.equal(Date.parse(expiresAt) - Date.parse(createdAt), 30_000);
});

test("T13: usage and placement are given as options, and shown and listed", async () => {
  await using cli = await world();
  const file = cli.folder.file("t");
  const notes = ["--usage", "archive", "--placement", "cold, away from disk 3"];
  await cli.json("token", "create", "v", "--out", file, ...notes);
  const { tokens } = await cli.json("token", "show", file);
  assert.deepEqual([tokens[0].usage, tokens[0].placement], ["archive", "cold, away from disk 3"]);
  const shown = (await cli.run("token", "show", file)).out;
  assert.match(shown, /\nusage: +archive\nplacement: +cold, away from disk 3\n/);
  assert.match(
    (await cli.run("token", "list")).out,
    / USAGE +PLACEMENT\n.* archive +cold, away from disk 3\n/,
  );
  const wrong = await cli.run("token", "create", "v", "--out", file, "--usage", "often");
  assert.match(wrong.err, /^ropewalk: INVALID_ARGUMENT: .*possible: random, sequential, archive/);
});

test("for people there are sentences, and what is wrong has its code", async () => {
  await using cli = await world();
  const file = cli.folder.file("t");
  assert.match(
    (await cli.run("token", "list")).out,
    /^There are no tokens\. Make one: ropewalk token create/,
  );
  assert.equal(
    (await cli.run("token", "create", "v", "--out", file)).out,
    `Made a token for 4 MiB of v: ${file}\n`,
  );
  assert.match((await cli.run("token", "show", file)).out, /^id: +[0-9a-f]{16}\nstate: +valid\n/);
  assert.match((await cli.run("token", "list")).out, /^ID +STATE .*\n[0-9a-f]{16} +valid +4 MiB +v /);
  for (const [parameters, code] of [
    [["create", "none", "--out", file], "VOLUME_NOT_FOUND"],
    [["create", "v", "--out", cli.folder.file("no/t")], "INVALID_ARGUMENT"],
    [["create", "v", "--out", file, "--policy", "keep"], "INVALID_ARGUMENT"],
    [["create", "v", "--out", file, "--ttl", "soon"], "INVALID_ARGUMENT"],
    [["create", "v", "--out", file, "--secondary", "parity"], "INVALID_ARGUMENT"],
    [["create", "v", "--out", file, "--length", "much"], "INVALID_SIZE"],
    [["show", cli.folder.file("none")], "INVALID_ARGUMENT"],
    [["write", file, "none"], "VOLUME_NOT_FOUND"],
    [["write", file, "v", "--length", "8MiB"], "TOKEN_CUT"],
  ] as const) {
    const { code: exit, out, err } = await cli.run("token", ...parameters);
    assert.deepEqual([exit, out], [1, ""], err);
    assert.ok(err.startsWith(`ropewalk: ${code}: `), err);
  }
  assert.equal((await cli.run("token", "create", "v")).code, 2);
  assert.equal((await cli.json("token", "list")).length, 1);
});

test("T23: the command line and the library make hash tokens, for which nothing is stored", async () => {
  await using cli = await world();
  const file = cli.folder.file("v.token");
  const made = await cli.json("token", "create", "v", "--kind", "hash", "--length", "1MiB", "--out", file);
  assert.deepEqual(made, { source: "v", file, lengthBytes: MIB, tokens: 1 });
  assert.equal((await cli.json("token", "show", file)).tokens[0].kind, "hash");
  assert.deepEqual(await cli.json("token", "list"), []);
  await cli.json("volume", "create", "w", "--size", "2MiB");
  assert.equal((await cli.json("token", "write", file, "w")).bytes, MIB);
  const { err } = await cli.run("token", "create", "v", "--kind", "hash", "--out", cli.folder.file("no/t"));
  assert.match(err, /^ropewalk: INVALID_ARGUMENT: /);
  assert.match((await cli.run("token", "create", "v", "--kind", "x", "--out", file)).err, /INVALID_ARGUMENT/);

  const ropewalk = await connectThrough((path) => readFile(path, "utf8"), cli.daemon);
  const { token } = await ropewalk.createToken({ source: "v", kind: "hash", lengthBytes: MIB });
  assert.equal((await ropewalk.writeToken(token, { volume: "w" })).bytes, MIB);
  for (const volume of ["v", "w"]) {
    // What the one does not hold any more is found in the other.
    assert.equal((await ropewalk.writeToken(token, { volume: "w" })).bytes, MIB);
    const device = cli.daemon.control.exports.open(volume);
    await device.write(8192, new Uint8Array(512), 0);
    await device.close();
  }
  await assert.rejects(ropewalk.writeToken(token, { volume: "w" }), { code: "TOKEN_CANCELLED" });
});

test("T10: a token whose file is lost is revoked by its id", async () => {
  await using cli = await world();
  const file = cli.folder.file("v.token");
  await cli.json("token", "create", "v", "--out", file);
  const [{ id }] = await cli.json("token", "list");
  assert.deepEqual(await cli.json("token", "revoke", "--id", id), { id, revoked: true });
  assert.deepEqual(await cli.json("token", "list"), []);
  assert.equal((await cli.json("token", "show", file)).state, "revoked");
  assert.equal((await cli.run("token", "revoke", "--id", id, "--hint")).out, `Revoked token ${id}.\n`);
  for (const [parameters, code] of [
    [[], "INVALID_ARGUMENT"],
    [[file, "--id", id], "INVALID_ARGUMENT"],
    [["--id", "12"], "INVALID_ARGUMENT"],
    [["--id", "0123456789abcdef"], "NOT_FOUND"],
  ] as const)
    assert.match((await cli.run("token", "revoke", ...parameters)).err, new RegExp(`^ropewalk: ${code}: `));
});

test("copy and zero print the fields relied upon", async () => {
  await using cli = await world();
  await cli.json("snapshot", "create", "v@s");
  const copied = await cli.json(
    "copy",
    "v@s",
    "w",
    "--offset",
    "4096",
    "--to-offset",
    "1MiB",
    "--length",
    "8KiB",
  );
  assert.deepEqual([copied.bytes, copied.bytesMoved], [8192, 0]);
  assert.ok(copied.elapsedMs > 0);
  assert.equal((await cli.json("volume", "show", "w")).sizeBytes, MIB + 8192);
  const zeroed = await cli.json("zero", "w", "--offset", "1MiB");
  assert.equal(zeroed.bytes, 8192);
  assert.ok(zeroed.elapsedMs > 0);
  assert.equal((await cli.run("zero", "w")).out, "Zeroed 1.01 MiB of w.\n");
  assert.equal((await cli.run("copy", "v", "x")).out, "Copied 4 MiB of v to x; 0 B of data moved.\n");
  assert.match((await cli.run("copy", "v", "v")).err, /^ropewalk: INVALID_RANGE: .* overlap/);
});

test("Ctrl-C cancels a copy at the daemon, and the error says how much was copied", async () => {
  let isForgotten = false;
  await using cli = await world({
    isTerminal: true,
    onInterrupt: (action) => {
      const timer = setTimeout(action, 300);
      return () => {
        isForgotten = true;
        clearTimeout(timer);
      };
    },
  });
  const { pool, control } = cli.daemon;
  await control.volumes.create({ name: "large", sizeBytes: 2 ** 32 });
  const gate = Promise.withResolvers<void>();
  const graft = pool.graft.bind(pool);
  pool.graft = async (options) => {
    await gate.promise;
    return graft(options);
  };
  setTimeout(gate.resolve, 600);
  const { code, out, err } = await cli.run("copy", "large", "w");
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /copy: \[#*-*\] +\d+ %, .* of 4 GiB\r\u001b\[2Kropewalk: CANCELLED: .* bytes were copied and stay\.\n$/,
  );
  assert.equal(control.copies.running(), 0);
  assert.ok(isForgotten);
});
