import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient, NbdError } from "../support/nbd-block-client.ts";

const MIB = 2 ** 20;
const EPERM = 1;

test("a volume with a client is neither deleted nor shrunk, but grown, and deleted once the client is gone", async () => {
  await using daemon = await Daemon.start();
  await daemon.cli("volume", "create", "vol0", "--size", "64MiB");
  const client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  await client.write(0, Buffer.alloc(4096, 7), { fua: true });

  for (const refused of [
    ["volume", "delete", "vol0"],
    ["volume", "resize", "vol0", "--size", "32MiB"],
  ]) {
    const { code, stderr } = await daemon.tryCli(...refused);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^ropewalk: IN_USE: [^\n]*client/m);
  }
  await daemon.cli("volume", "resize", "vol0", "--size", "128MiB");
  assert.deepEqual(await client.read(0, 4096), new Uint8Array(4096).fill(7));
  await client.close();

  await daemon.cli("volume", "resize", "vol0", "--size", "32MiB");
  await daemon.cli("volume", "delete", "vol0");
  assert.deepEqual(await daemon.json("volume", "list"), []);
});

test("a snapshot is served read-only, with what the volume held, whatever is written to the volume later", async () => {
  await using daemon = await Daemon.start();
  await daemon.cli("volume", "create", "vol0", "--size", "64MiB");
  const client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  await client.write(MIB, Buffer.alloc(8192, 1), { fua: false });
  await daemon.cli("snapshot", "create", "vol0@before");
  await client.write(MIB, Buffer.alloc(8192, 2), { fua: false });

  const snapshot = await NbdBlockClient.open(daemon.nbdSocket, "vol0@before");
  assert.deepEqual(await snapshot.read(MIB, 8192), new Uint8Array(8192).fill(1));
  const refusal = (error: unknown) => error instanceof NbdError && error.errno === EPERM;
  await assert.rejects(snapshot.write(0, Buffer.alloc(512), { fua: false }), refusal);
  await assert.rejects(snapshot.trim(MIB, 4096), refusal);
  await assert.rejects(snapshot.zero(MIB, 4096), refusal);
  assert.deepEqual(await snapshot.read(MIB, 8192), new Uint8Array(8192).fill(1));

  const rollback = await daemon.tryCli("snapshot", "rollback", "vol0@before");
  assert.match(rollback.stderr, /^ropewalk: IN_USE: /m);
  await client.close();
  await snapshot.close();
  await daemon.cli("snapshot", "rollback", "vol0@before");
  const again = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  assert.deepEqual(await again.read(MIB, 8192), new Uint8Array(8192).fill(1));
  await again.close();
});
