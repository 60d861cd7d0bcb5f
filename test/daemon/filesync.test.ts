// Directory trees that real daemons replicate: to a path, to each other, over what stands in for ssh.
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { networkInterfaces } from "node:os";
import { resolve } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Daemon } from "../support/daemon.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const POOL_SIZE = "1GiB";
const ropewalk = resolve(import.meta.dirname, "../../bin/ropewalk");

interface Filesync {
  readonly state: string;
  readonly targets: readonly {
    readonly to: string;
    readonly state: string;
    readonly error?: { code: string };
  }[];
}

/** A folder with `source`: a file, a directory, a link. */
function folderWithSource(): TemporaryFolder {
  const folder = new TemporaryFolder();
  mkdirSync(folder.file("source/directory"), { recursive: true });
  writeFileSync(folder.file("source/directory/file"), "first");
  symlinkSync("directory/file", folder.file("source/link"));
  return folder;
}

function contents(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith(".ropewalk-"))
    .sort();
}

/** Waits for a state of the first target that `is` wants. */
async function targetState(
  daemon: Daemon,
  name: string,
  is: (target: Filesync["targets"][number]) => boolean,
): Promise<Filesync["targets"][number]> {
  for (const endMs = performance.now() + 30_000; ; await sleep(50)) {
    const shown = (await daemon.json("filesync", "show", name)) as Filesync;
    const target = shown.targets[0]!;
    if (is(target)) return target;
    assert.ok(performance.now() < endMs, JSON.stringify(shown));
  }
}

test("a directory is replicated to a path while it changes, and goes on after a restart and a crash of the daemon", async () => {
  using folder = folderWithSource();
  const [source, copy] = [folder.file("source"), folder.file("copy")];
  const dataDirectory = folder.file("data");
  await using daemon = await Daemon.start({ dataDirectory, poolSize: POOL_SIZE });
  await daemon.cli("filesync", "add", "a", "--source", source, "--to", copy);
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.deepEqual(contents(copy), contents(source));
  renameSync(`${source}/directory`, `${source}/renamed`);
  writeFileSync(`${source}/new`, "second");
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.deepEqual(contents(copy), ["link", "new", "renamed", "renamed/file"]);

  await daemon.stop();
  writeFileSync(`${source}/while-stopped`, "third");
  await daemon.start();
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.equal(readFileSync(`${copy}/while-stopped`, "utf8"), "third");

  await daemon.kill();
  rmSync(`${source}/while-stopped`);
  await daemon.start();
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.deepEqual(contents(copy), contents(source));
  assert.deepEqual(
    ((await daemon.json("filesync", "verify", "a")) as { differences: number }).differences,
    0,
  );

  await daemon.cli("filesync", "pause", "a");
  writeFileSync(`${source}/while-paused`, "fourth");
  await sleep(200);
  assert.ok(!existsSync(`${copy}/while-paused`));
  await daemon.cli("filesync", "resume", "a");
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.ok(existsSync(`${copy}/while-paused`));
  await daemon.cli("filesync", "delete", "a");
  assert.deepEqual(contents(copy), contents(source));
  assert.deepEqual(readdirSync(`${dataDirectory}/filesync`), []);
});

test("a daemon lets in who has the key of the target over loopback, and nobody else", async () => {
  using folder = folderWithSource();
  const source = folder.file("source");
  await using target = await Daemon.start({ poolSize: POOL_SIZE });
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE });
  const peer = target.endpoints.peer[0]!;
  for (const name of ["in", "other"])
    await target.cli(
      "filesync",
      "target",
      "add",
      name,
      "--root",
      folder.file(name),
      "--key",
      folder.file(`${name}.key`),
    );
  const add = (name: string, to: string, key: string) =>
    daemon.cli(
      "filesync",
      "add",
      name,
      "--source",
      source,
      "--to",
      `ropewalk://${peer}/${to}`,
      "--key",
      folder.file(key),
    );
  await add("right", "in", "in.key");
  await daemon.cli("filesync", "show", "right", "--wait");
  assert.deepEqual(contents(folder.file("in")), contents(source));

  await add("wrong", "other", "in.key");
  await add("nowhere", "none", "in.key");
  const failed = ({ error }: Filesync["targets"][number]) => error !== undefined;
  assert.equal((await targetState(daemon, "wrong", failed)).error?.code, "UNAUTHORIZED");
  assert.equal((await targetState(daemon, "nowhere", failed)).error?.code, "NOT_FOUND");
  assert.deepEqual(contents(folder.file("other")), []);

  // Who was let in is sent away when the target is deleted.
  await target.cli("filesync", "target", "delete", "in");
  assert.equal((await targetState(daemon, "right", failed)).error?.code, "NOT_FOUND");
  assert.deepEqual(contents(folder.file("in")), contents(source));
});

const address = Object.values(networkInterfaces())
  .flatMap((each) => each ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

test("between addresses that are not loopback all is TLS by the key of the pair", {
  skip: address === undefined ? "needs an address that is not loopback" : false,
}, async () => {
  using folder = folderWithSource();
  const source = folder.file("source");
  await using target = await Daemon.start({ poolSize: POOL_SIZE, flags: ["--peer", `${address}:0`] });
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE });
  const peer = target.endpoints.peer[0]!;
  for (const name of ["in", "other"])
    await target.cli(
      "filesync",
      "target",
      "add",
      name,
      "--root",
      folder.file(name),
      "--key",
      folder.file(`${name}.key`),
    );
  const add = (name: string, to: string) => [
    ...["filesync", "add", name, "--source", source, "--to", `ropewalk://${peer}/${to}`],
    ...["--key", folder.file("in.key")],
  ];
  await daemon.cli(...add("right", "in"));
  await daemon.cli("filesync", "show", "right", "--wait");
  assert.deepEqual(contents(folder.file("in")), contents(source));
  await daemon.cli(...add("wrong", "other"));
  await targetState(daemon, "wrong", ({ error }) => error !== undefined);
  assert.deepEqual(contents(folder.file("other")), []);
  // Whoever speaks plainly is not answered.
  const [host, port] = [peer.slice(0, peer.lastIndexOf(":")), Number(peer.split(":").at(-1))];
  const { connect } = await import("node:net");
  const heard = await new Promise<number>((done) => {
    let bytes = 0;
    const socket = connect(port, host, () => socket.write(Buffer.alloc(200)));
    socket.on("data", (data: Buffer) => {
      // An alert of TLS, if anything.
      assert.equal(data[0], 21);
      bytes += data.length;
    });
    socket.on("error", () => {});
    socket.on("close", () => done(bytes));
  });
  assert.ok(heard < 20);
});

test("over ssh a directory is served by one process for all connections, which end with the synchronization", async () => {
  using folder = folderWithSource();
  const bin = folder.file("bin");
  mkdirSync(bin);
  // Runs the command as the shell at the other end would, and says who runs.
  writeFileSync(
    `${bin}/ssh`,
    `#!/bin/sh\nfor last; do :; done\necho $$ >> ${folder.file("pids")}\nexec sh -c "exec $last"\n`,
  );
  chmodSync(`${bin}/ssh`, 0o755);
  symlinkSync(ropewalk, `${bin}/ropewalk`);
  const environment = { PATH: `${bin}:${process.env["PATH"]}`, TMPDIR: folder.path };
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE, environment });
  const copy = folder.file("my copy");
  const to = `ssh://me@host${encodeURI(copy)}`;
  await daemon.cli("filesync", "add", "a", "--source", folder.file("source"), "--to", to);
  await daemon.cli("filesync", "show", "a", "--wait");
  assert.deepEqual(contents(copy), contents(folder.file("source")));
  const pids = readFileSync(folder.file("pids"), "utf8").trim().split("\n");
  assert.equal(pids.length, 4);
  await daemon.cli("filesync", "delete", "a");
  for (
    const endMs = performance.now() + 10_000;
    pids.some((pid) => existsSync(`/proc/${pid}`));
    await sleep(20)
  )
    assert.ok(performance.now() < endMs, "the processes ended");
});
