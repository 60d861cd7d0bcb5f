// The iSCSI front end of the real daemon, under libiscsi's tools and QEMU: targets of volumes and of stacks, CHAP,
// reservations over a restart, a volume that grows, and a clean stop with an initiator logged in.
import assert from "node:assert/strict";
import { readdirSync, truncateSync, writeFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { IscsiInitiator } from "../support/iscsi-initiator.ts";
import { needs } from "../support/needs.ts";
import { runProgram, tryProgram } from "../support/run-program.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const MIB = 1024 * 1024;
const PREFIX = "iqn.2026-11.io.ropewalk:";
const qemu = needs("qemu-img", "qemu-io", "qemu-block-extra");
const libiscsi = needs("iscsi-ls");

function start(flags: readonly string[] = []): Promise<Daemon> {
  return Daemon.start({ poolSize: "1GiB", flags });
}

function portal(daemon: Daemon): string {
  return daemon.endpoints.iscsi[0]!;
}

function uri(daemon: Daemon, volume: string, account = ""): string {
  return `iscsi://${account}${portal(daemon)}/${PREFIX}${volume}/0`;
}

function qemuIo(where: string, ...commands: string[]): Promise<string> {
  return runProgram("qemu-io", ["-f", "raw", ...commands.flatMap((command) => ["-c", command]), where]);
}

/** A configuration file of these lines, in a folder that goes with the test. */
function configured(t: TestContext, text: string): string[] {
  const folder = new TemporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  writeFileSync(folder.file("ropewalk.yaml"), text);
  return ["--config", folder.file("ropewalk.yaml")];
}

test("every volume is a target and snapshots are none", libiscsi, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "a", "--size", "64MiB");
  await daemon.cli("volume", "create", "b", "--size", "128MiB");
  await daemon.cli("snapshot", "create", "a@monday");
  assert.match(daemon.output, new RegExp(`^  iSCSI  iscsi://${portal(daemon)}/${PREFIX}VOLUME/0$`, "m"));
  const listed = await runProgram("iscsi-ls", ["-s", `iscsi://${portal(daemon)}`]);
  const targets = [...listed.matchAll(/^Target:(\S+) Portal:(\S+)$/gm)].map(([, name, at]) => [name, at]);
  assert.deepEqual(targets.sort(), [
    [`${PREFIX}a`, `${portal(daemon)},1`],
    [`${PREFIX}b`, `${portal(daemon)},1`],
  ]);
  assert.equal(listed.match(/^Lun:0 +Type:DIRECT_ACCESS/gm)?.length, 2);
});

test("a portal on all addresses is told by the one that the initiator came to", libiscsi, async () => {
  await using daemon = await start(["--iscsi", "0.0.0.0:0", "--insecure"]);
  await daemon.cli("volume", "create", "a", "--size", "64MiB");
  const [loopback, wildcard] = daemon.endpoints.iscsi;
  const reached = wildcard!.replace("0.0.0.0", "127.0.0.1");
  const listed = await runProgram("iscsi-ls", [`iscsi://${reached}`]);
  const portals = [...listed.matchAll(/Portal:(\S+),1$/gm)].map(([, address]) => address);
  assert.deepEqual(portals.sort(), [loopback, reached].sort());
});

test("what QEMU writes over iSCSI is read over NBD", qemu, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  await qemuIo(uri(daemon, "v"), "write -P 0x5a 1M 9M", "discard 4M 1M", "flush", "read -P 0 4M 1M");
  await qemuIo(daemon.uri("v"), "read -P 0x5a 1M 3M", "read -P 0 4M 1M", "read -P 0x5a 5M 5M");
  const compared = await runProgram("qemu-img", [
    ...["compare", "-f", "raw", "-F", "raw"],
    uri(daemon, "v"),
    daemon.uri("v"),
  ]);
  assert.match(compared, /Images are identical/);
  const metrics = await daemon.metrics();
  assert.ok(metrics.get("ropewalk_iscsi_commands_total")! > 10);
  assert.ok(metrics.get("ropewalk_iscsi_written_bytes_total")! >= 9 * MIB);
  assert.equal(metrics.get('ropewalk_connections{front_end="iscsi"}'), 0);
});

test("a session keeps its volume from being deleted, and lets it go at the end", libiscsi, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  const initiator = await IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v` });
  assert.match((await daemon.tryCli("volume", "delete", "v")).stderr, /IN_USE/);
  await initiator[Symbol.asyncDispose]();
  await daemon.cli("volume", "delete", "v");
  const gone = await tryProgram("iscsi-inq", [uri(daemon, "v")]);
  assert.notEqual(gone.code, 0);
});

test("an initiator is told that the volume grew", libiscsi, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  await using initiator = await IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v` });
  const readCapacity = { cdb: Buffer.from([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]), dataInBytes: 8 };
  let reply = await initiator.command(readCapacity);
  // The session's own unit attentions come first.
  while (reply.status !== 0) reply = await initiator.command(readCapacity);
  assert.equal(Buffer.from(reply.dataIn).readUInt32BE(0) + 1, (64 * MIB) / 512);
  await daemon.cli("volume", "resize", "v", "--size", "96MiB");
  const attention = await initiator.command({ cdb: Buffer.alloc(6) });
  assert.deepEqual([attention.status, attention.sense[2]! & 0x0f, attention.sense[12]], [2, 6, 0x2a]);
  reply = await initiator.command(readCapacity);
  assert.equal(Buffer.from(reply.dataIn).readUInt32BE(0) + 1, (96 * MIB) / 512);
});

test("a target with users lets in only those, and others as before", qemu, async (t) => {
  const flags = configured(
    t,
    "iscsi: {targets: {closed: {chap: [{user: me, secret: twelve-bytes-and-more}]}}}\n",
  );
  await using daemon = await start(flags);
  await daemon.cli("volume", "create", "closed", "--size", "64MiB");
  await daemon.cli("volume", "create", "open", "--size", "64MiB");
  await qemuIo(uri(daemon, "open"), "read 0 4k");
  await qemuIo(uri(daemon, "closed", "me%twelve-bytes-and-more@"), "read 0 4k");
  for (const account of ["", "me%another-secret-0123@", "you%twelve-bytes-and-more@"]) {
    const refused = await tryProgram("qemu-io", [
      "-f",
      "raw",
      "-c",
      "read 0 4k",
      uri(daemon, "closed", account),
    ]);
    assert.notEqual(refused.code, 0, account);
  }
  assert.ok((await daemon.metrics()).get("ropewalk_iscsi_logins_failed_total")! >= 3);
});

test("a CHAP secret that is too short, or too long, keeps the daemon from starting, with its code", async (t) => {
  const long = "x".repeat(256);
  for (const [text, problem] of [
    [
      "{chap: [{user: me, secret: eleven-byte}]}",
      /INVALID_CONFIG: .*"me" has 11 bytes; CHAP needs 12 to 255/,
    ],
    [`{chap: [{user: me, secret: ${long}}]}`, /INVALID_CONFIG: .*"me" has 256 bytes/],
    ["{targets: {v: {chap: [{user: you, secret: short}]}}}", /INVALID_CONFIG: .*"you" has 5 bytes/],
  ] as const) {
    const flags = configured(t, `iscsi: ${text}\n`);
    await assert.rejects(start(flags), problem);
  }
});

test("a target's name that is taken is refused with its code, whoever wants it", libiscsi, async (t) => {
  const folder = new TemporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  await daemon.cli("volume", "create", "w", "--size", "64MiB");
  await daemon.cli("snapshot", "create", "w@s");
  writeFileSync(folder.file("stack.json"), '{"volume": "w"}');
  await using initiator = await IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v` });
  for (const command of [
    ["create", "v", "--size", "32MiB"],
    ["create", "v", "--stack", folder.file("stack.json")],
    ["clone", "w@s", "v"],
  ]) {
    const { code, stderr } = await daemon.tryCli("volume", ...command);
    assert.notEqual(code, 0, command.join(" "));
    assert.match(stderr, /ALREADY_EXISTS/, command.join(" "));
  }
  // The target is the one that it was.
  let reply = await initiator.command({ cdb: Buffer.alloc(6) });
  while (reply.status !== 0) reply = await initiator.command({ cdb: Buffer.alloc(6) });
  const listed = await runProgram("iscsi-ls", [`iscsi://${portal(daemon)}`]);
  assert.equal(listed.match(/^Target:/gm)?.length, 2);
});

test("a target with a list of initiators lets in only those", qemu, async (t) => {
  const flags = configured(t, "iscsi: {initiators: [iqn.2004-10.com.example:friend]}\n");
  await using daemon = await start(flags);
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  const as = (initiator: string) =>
    IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v`, initiator });
  await (await as("iqn.2004-10.com.example:friend"))[Symbol.asyncDispose]();
  await assert.rejects(as("iqn.2004-10.com.example:stranger"));
});

test("a registration with APTPL is there after a crash and gone with the volume", libiscsi, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  const session = () => IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v` });
  const list = Buffer.alloc(24);
  list.writeBigUInt64BE(0x1234n, 8);
  list[20] = 1;
  const register = { cdb: Buffer.from([0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0]), dataOut: list };
  const readKeys = { cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 0, 16, 0]), dataInBytes: 16 };
  {
    await using initiator = await session();
    let reply = await initiator.command(register);
    while (reply.status === 2) reply = await initiator.command(register);
    assert.equal(reply.status, 0);
  }
  await daemon.kill();
  await daemon.start();
  {
    await using initiator = await session();
    let reply = await initiator.command(readKeys);
    while (reply.status === 2) reply = await initiator.command(readKeys);
    assert.equal(Buffer.from(reply.dataIn).readBigUInt64BE(8), 0x1234n);
  }
  assert.equal(readdirSync(`${daemon.dataDirectory}/reservations`).length, 1);
  await daemon.cli("volume", "delete", "v");
  await daemon.stop();
  await daemon.start();
  assert.deepEqual(readdirSync(`${daemon.dataDirectory}/reservations`), []);
});

test("SIGTERM ends it with 0 within ten seconds while an initiator is logged in", libiscsi, async () => {
  await using daemon = await start();
  await daemon.cli("volume", "create", "v", "--size", "64MiB");
  const initiator = await IscsiInitiator.connect({ portal: portal(daemon), target: `${PREFIX}v` });
  const { code, elapsedMs } = await daemon.stop();
  assert.equal(code, 0, daemon.output);
  assert.ok(elapsedMs < 10_000);
  await initiator[Symbol.asyncDispose]().catch(() => {});
});

test("an address that is not loopback needs users, a list of initiators or --insecure", async () => {
  const daemon = Daemon.start({ poolSize: "1GiB", flags: ["--iscsi", "0.0.0.0:0"] });
  await assert.rejects(daemon, /INSECURE_ADDRESS: 0\.0\.0\.0:0 is not loopback/);
});

test("a stack over volumes and a file is served like a volume, also after a restart", qemu, async (t) => {
  const folder = new TemporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  writeFileSync(folder.file("disk.img"), "");
  truncateSync(folder.file("disk.img"), 16 * MIB);
  writeFileSync(
    folder.file("stack.yaml"),
    `
layer: span
members:
  - layer: stripe
    members: [{volume: a}, {volume: b}]
  - file: ${folder.file("disk.img")}
`,
  );
  await using daemon = await start();
  for (const name of ["a", "b"]) await daemon.cli("volume", "create", name, "--size", "16MiB");
  await daemon.cli("volume", "create", "s", "--stack", folder.file("stack.yaml"));
  const shown = (await daemon.json("volume", "show", "s")) as { sizeBytes: number; stack: { layer: string } };
  assert.deepEqual([shown.sizeBytes, shown.stack.layer], [48 * MIB, "span"]);
  await qemuIo(uri(daemon, "s"), "write -P 0x33 30M 10M", "flush");
  assert.match((await daemon.tryCli("volume", "delete", "a")).stderr, /IN_USE: The stack "s" stands on "a"/);
  assert.match((await daemon.tryCli("snapshot", "rollback", "a@x")).stderr, /IN_USE/);
  assert.match((await daemon.tryCli("snapshot", "create", "s@x")).stderr, /UNSUPPORTED/);

  await daemon.stop();
  await daemon.start();
  assert.deepEqual(await daemon.json("volume", "show", "s"), shown);
  await qemuIo(daemon.uri("s"), "read -P 0 0 30M", "read -P 0x33 30M 10M");
  const compared = await runProgram("qemu-img", [
    ...["compare", "-f", "raw", "-F", "raw"],
    uri(daemon, "s"),
    daemon.uri("s"),
  ]);
  assert.match(compared, /Images are identical/);
  await daemon.cli("volume", "delete", "s");
  await daemon.cli("volume", "delete", "a");
});

test("a stack that names itself, and one with no or two ways to be made, are refused", async (t) => {
  const folder = new TemporaryFolder();
  t.after(() => folder[Symbol.dispose]());
  writeFileSync(folder.file("self.json"), '{"volume": "s"}');
  writeFileSync(folder.file("wrong.yaml"), "layer: [\n");
  await using daemon = await start();
  const create = (...flags: string[]) => daemon.tryCli("volume", "create", "s", ...flags);
  assert.match(
    (await create("--stack", folder.file("self.json"))).stderr,
    /INVALID_CONFIG: .* stand on itself/,
  );
  assert.match(
    (await create("--stack", folder.file("wrong.yaml"))).stderr,
    /INVALID_CONFIG: .*wrong\.yaml:\d/,
  );
  assert.match((await create("--stack", folder.file("none"))).stderr, /INVALID_ARGUMENT: .*ENOENT/);
  assert.equal((await create()).code, 2);
  assert.equal((await create("--size", "1MiB", "--stack", folder.file("self.json"))).code, 2);
  assert.deepEqual(await daemon.json("volume", "list"), []);
});
