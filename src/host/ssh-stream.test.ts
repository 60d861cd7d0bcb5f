// Streams through ssh to a program's standard input and output: what they carry, and what is refused or said at the end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";
import { needs } from "../../test/support/needs.ts";
import { startSshServer } from "../../test/support/ssh-server.ts";
import { checkPlaced, StreamRecorder, sendPlaced } from "../../test/support/stream-recorder.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { RopewalkError } from "../base/errors.ts";
import { ChildStream } from "./child-stream.ts";
import { openSshStream, type SshTarget, sshArguments } from "./ssh-stream.ts";

const MIB = 2 ** 20;
const ECHO = resolve(import.meta.dirname, "../../test/support/stdio-echo.ts");
const STRANGE = ["plain", "two words", "it's", "$(id)", "`id`", "; exit 9", "*", "", "~", "a\nb", '"\\'];

/** Reads the line with the program's parameters, then checks what comes back, and pauses now and then. */
function expectEcho(recorder: StreamRecorder): { readonly parameters: () => unknown } {
  let line = "";
  let isLine = true;
  let unpausedBytes = 0;
  recorder.onBytes = (bytes) => {
    if (isLine) {
      const end = bytes.indexOf("\n");
      line += bytes.subarray(0, end === -1 ? bytes.length : end).toString();
      isLine = end === -1;
      recorder.receivedBytes = isLine ? 0 : bytes.length - end - 1;
      bytes = isLine ? bytes.subarray(0, 0) : bytes.subarray(end + 1);
    }
    checkPlaced(recorder, bytes);
    unpausedBytes += bytes.length;
    if (unpausedBytes < MIB) return;
    unpausedBytes = 0;
    recorder.stream.pause();
    setTimeout(() => recorder.stream.resume(), 2);
  };
  return { parameters: () => JSON.parse(line) };
}

test(
  "a program behind a real sshd gets its words untouched and sends back 16 MiB, with pauses",
  needs("sshd", "ssh", "ssh-keygen"),
  async () => {
    using folder = new TemporaryFolder();
    await using server = await startSshServer(folder);
    const recorder = new StreamRecorder();
    const echo = expectEcho(recorder);
    openSshStream({ ...server, command: [process.execPath, ECHO, ...STRANGE] }, recorder);
    assert.deepEqual(recorder.events, []);
    await recorder.heard("opened");
    assert.equal(recorder.stream.peer.loopback, false);
    assert.equal(recorder.stream.peer.description, `ssh://${server.user}@127.0.0.1:${server.port}`);
    sendPlaced(recorder, 16 * MIB);
    await recorder.heard("closed");
    assert.equal(recorder.error?.message, undefined);
    assert.deepEqual(echo.parameters(), STRANGE);
    assert.equal(recorder.receivedBytes, 16 * MIB);
    assert.deepEqual(recorder.events, ["opened", "ended", "closed"]);
  },
);

test(
  "a program that fails, and a server that lets nobody in, close the stream with the last line of standard error",
  needs("sshd", "ssh", "ssh-keygen"),
  async () => {
    using folder = new TemporaryFolder();
    await using server = await startSshServer(folder);
    const failing = new StreamRecorder();
    openSshStream(
      { ...server, command: ["sh", "-c", "echo one >&2; echo the disk is full >&2; exit 7"] },
      failing,
    );
    await failing.heard("closed");
    const address = `ssh://${server.user}@127.0.0.1:${server.port}`;
    assert.equal(failing.error?.message, `ssh to ${address} ended with status 7: the disk is full`);
    const stranger = new StreamRecorder();
    openSshStream({ ...server, user: "nobody-of-this-name", command: ["true"] }, stranger);
    await stranger.heard("closed");
    assert.match(stranger.error?.message ?? "", /ended with status 255: .*Permission denied/);
  },
);

test("a destroyed stream ends ssh and closes once", needs("sshd", "ssh", "ssh-keygen"), async () => {
  using folder = new TemporaryFolder();
  await using server = await startSshServer(folder);
  const recorder = new StreamRecorder();
  recorder.onBytes = () => recorder.stream.destroy();
  openSshStream({ ...server, command: [process.execPath, ECHO] }, recorder);
  await recorder.heard("closed");
  assert.deepEqual(recorder.events, ["opened", "closed"]);
  assert.equal(recorder.error, undefined);
});

test("hosts, users, ports and commands that could be read as something else are refused", async () => {
  const good: SshTarget = { user: "root", host: "host.example.org", port: 22, command: ["true"] };
  const tail = sshArguments({ ...good, command: ["a", "b c", "it's"] }).slice(-7);
  assert.deepEqual(tail, ["-p", "22", "-l", "root", "--", "host.example.org", "a 'b c' 'it'\\''s'"]);
  for (const host of ["::1", "10.0.0.1", "h", "fe80::1%eth0"]) sshArguments({ ...good, host });
  const bad: Partial<SshTarget>[] = [
    ...["", "-oProxyCommand=id", "a b", "a;b", "$(id)", "user@host", "a\nb", "-"].map((host) => ({ host })),
    ...["", "-l", "a b", "a`id`", "a@b"].map((user) => ({ user })),
    ...[0, 65_536, 1.5, Number.NaN].map((port) => ({ port })),
    ...[[], [""], ["a\0b"]].map((command) => ({ command })),
  ];
  for (const change of bad) {
    const recorder = new StreamRecorder();
    openSshStream({ ...good, ...change }, recorder);
    assert.deepEqual(recorder.events, []);
    await recorder.heard("closed");
    assert.deepEqual(recorder.events, ["closed"]);
    assert.ok(recorder.error instanceof RopewalkError);
    assert.equal(recorder.error.code, "INVALID_ARGUMENT", JSON.stringify(change));
  }
});

test("standard input and output carry 32 MiB both ways at once without ssh, and what a dead child left arrives", async () => {
  const child = spawn(process.execPath, [ECHO], { stdio: ["pipe", "pipe", "inherit"] });
  const recorder = new StreamRecorder();
  const echo = expectEcho(recorder);
  const peer = { kind: "process", loopback: false, description: "child" } as const;
  const cut = () => void child.kill();
  const stream = new ChildStream({ peer, input: child.stdout, output: child.stdin, cut }, recorder);
  child.once("close", () => stream.over(undefined));
  sendPlaced(recorder, 32 * MIB);
  await recorder.heard("closed");
  assert.deepEqual(echo.parameters(), []);
  assert.equal(recorder.receivedBytes, 32 * MIB);

  const brief = spawn("sh", ["-c", "head -c 100000 /dev/zero"], { stdio: ["pipe", "pipe", "inherit"] });
  const late = new StreamRecorder();
  late.onOpened = (opened) => {
    opened.pause();
    setTimeout(() => opened.resume(), 150);
  };
  const rest = new ChildStream({ peer, input: brief.stdout, output: brief.stdin, cut }, late);
  brief.once("close", () => rest.over(undefined));
  await late.heard("closed");
  assert.equal(late.receivedBytes, 100_000);
  assert.deepEqual(late.events, ["opened", "ended", "closed"]);
});
