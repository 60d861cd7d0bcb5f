import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { readAll } from "../support/block-client.ts";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import { ExpectedVolume } from "../torture/expected-volume.ts";
import { VerifyingWriter } from "../torture/verifying-writer.ts";

const SIZE_BYTES = 32 * 2 ** 20;
const STOP_MS_MAX = 10_000;

/** A daemon with a volume, and a writer at work on it. */
async function atWork() {
  const daemon = await Daemon.start();
  await daemon.cli("volume", "create", "vol0", "--size", String(SIZE_BYTES));
  const expected = new ExpectedVolume(SIZE_BYTES);
  let last = 0;
  const writer = new VerifyingWriter({
    clients: [
      await NbdBlockClient.open(daemon.nbdSocket, "vol0", "structured"),
      await NbdBlockClient.open({ port: daemon.nbdPort }, "vol0"),
    ],
    expected,
    prng: new Prng(11),
    nextRequest: () => ++last,
  });
  const running = writer.run();
  return { daemon, expected, writer, running };
}

async function compare(daemon: Daemon, expected: ExpectedVolume): Promise<void> {
  const client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  assert.deepEqual(expected.settle(await readAll(client, SIZE_BYTES)), []);
  await client.close();
}

test("SIGTERM under load ends the daemon with 0 within 10 s, and everything acknowledged is there afterwards", async () => {
  const { daemon, expected, writer, running } = await atWork();
  await using _ = daemon;
  await delay(700);
  writer.end();
  const { code, elapsedMs } = await daemon.stop();
  await running;
  assert.equal(code, 0, daemon.output);
  assert.ok(elapsedMs < STOP_MS_MAX, `it took ${elapsedMs.toFixed(0)} ms`);
  assert.ok(writer.acknowledged > 100, `${writer.acknowledged} requests`);
  assert.deepEqual(writer.problems, []);
  await daemon.start();
  await compare(daemon, expected);
});

test("after SIGKILL under load everything acknowledged is there, and no request is torn", async () => {
  const { daemon, expected, writer, running } = await atWork();
  await using _ = daemon;
  await delay(700);
  writer.end();
  await daemon.kill();
  await running;
  assert.ok(writer.acknowledged > 100, `${writer.acknowledged} requests`);
  assert.deepEqual(writer.problems, []);
  await daemon.start();
  await compare(daemon, expected);
});

test("a second daemon on the same data directory is refused with one line, and the first goes on", async () => {
  await using first = await Daemon.start();
  await first.cli("volume", "create", "vol0", "--size", "16MiB");
  const before = first.endpoints;
  const second = await first.tryCli(
    "serve",
    "--data",
    first.dataDirectory,
    "--iscsi",
    "127.0.0.1:0",
    "--nbd",
    "127.0.0.1:0",
    "--http",
    "127.0.0.1:0",
    "--peer",
    "127.0.0.1:0",
  );
  assert.equal(second.code, 1);
  assert.match(second.stderr.trimEnd(), /^ropewalk: POOL_IN_USE: [^\n]+$/);
  assert.deepEqual(first.endpoints, before, "the first one's endpoints are left alone");
  const client = await NbdBlockClient.open(first.nbdSocket, "vol0");
  await client.write(0, Buffer.alloc(512, 1), { fua: true });
  await client.close();
});
