import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient, NbdError } from "../support/nbd-block-client.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const LENGTH = 256 * 1024;
const EPERM = 1;

async function withClient(
  daemon: Daemon,
  name: string,
  act: (client: NbdBlockClient) => Promise<void>,
): Promise<void> {
  const client = await NbdBlockClient.open(daemon.nbdSocket, name);
  try {
    await act(client);
  } finally {
    await client.close();
  }
}

function writes(daemon: Daemon, name: string, value: number): Promise<void> {
  return withClient(daemon, name, (client) => client.write(4096, Buffer.alloc(LENGTH, value), { fua: true }));
}

function holds(daemon: Daemon, name: string, value: number): Promise<void> {
  return withClient(daemon, name, async (client) =>
    assert.deepEqual(await client.read(4096, LENGTH), new Uint8Array(LENGTH).fill(value)),
  );
}

test("a stack's frozen view is served read-only as STACK@VIEW, copied by token, and frozen anew at a start", async () => {
  using folder = new TemporaryFolder();
  await using daemon = await Daemon.start();
  for (const name of ["origin", "store", "target"])
    await daemon.cli("volume", "create", name, "--size", "16MiB");
  await writes(daemon, "origin", 1);
  const description = {
    layer: "snapshot",
    viewName: "before",
    members: [{ volume: "origin" }, { volume: "store" }],
  };
  writeFileSync(folder.file("stack.json"), JSON.stringify(description));
  await daemon.cli("volume", "create", "s", "--stack", folder.file("stack.json"));
  await writes(daemon, "s", 2);
  await holds(daemon, "s", 2);
  await holds(daemon, "s@before", 1);

  await withClient(daemon, "s@before", async (client) => {
    const refusal = (error: unknown) => error instanceof NbdError && error.errno === EPERM;
    await assert.rejects(client.write(0, Buffer.alloc(512), { fua: false }), refusal);
    assert.match((await daemon.tryCli("volume", "delete", "s")).stderr, /IN_USE: .*1 client/);
  });
  await assert.rejects(NbdBlockClient.open(daemon.nbdSocket, "s@other"));

  const copied = (await daemon.json("copy", "s@before", "target")) as { bytesMoved: number };
  assert.equal(copied.bytesMoved, 0);
  await holds(daemon, "target", 1);

  await daemon.stop();
  await daemon.start();
  await writes(daemon, "s", 3);
  await holds(daemon, "s@before", 2);
  await daemon.cli("volume", "delete", "s");
});
