import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient, NbdError } from "../support/nbd-block-client.ts";

const MIB = 2 ** 20;
const ENOSPC = 28;
const SPACE_TIMEOUT_MS = 30_000;

test("a full pool refuses writes with ENOSPC, and goes on reading, trimming, deleting, and writing once there is room", async () => {
  await using daemon = await Daemon.start({ poolSize: "1GiB" });
  await daemon.cli("volume", "create", "kept", "--size", "4GiB");
  await daemon.cli("volume", "create", "deleted", "--size", "4GiB");
  const kept = await NbdBlockClient.open(daemon.nbdSocket, "kept");
  const other = await NbdBlockClient.open(daemon.nbdSocket, "deleted");
  const piece = (number: number) => Buffer.alloc(MIB, 1 + (number % 255));
  for (let number = 0; number < 200; number++) await other.write(number * MIB, piece(number), { fua: false });
  const written = await fillUp(kept, piece);
  assert.ok(written > 100, `${written} MiB fitted`);

  for (const number of [0, written >> 1, written - 1]) {
    assert.deepEqual(await kept.read(number * MIB, MIB), new Uint8Array(piece(number)), "reading goes on");
  }
  await kept.flush();
  await kept.trim(0, 50 * MIB);
  assert.deepEqual(await kept.read(0, MIB), new Uint8Array(MIB), "what was trimmed reads as zeros");
  await untilWritable(kept, 20);

  await fillUp(kept, piece, written);
  await other.close();
  await daemon.cli("volume", "delete", "deleted");
  await untilWritable(kept, 100);
  assert.deepEqual(
    await kept.read((written - 1) * MIB, MIB),
    new Uint8Array(piece(written - 1)),
    "what was written before is still there",
  );
  await kept.close();
  const { errors } = (await daemon.json("scrub")) as { errors: number };
  assert.equal(errors, 0);
});

test("a full pool is opened again after collecting, an orderly stop and SIGKILL, with everything in it", async () => {
  await using daemon = await Daemon.start({ poolSize: "1GiB" });
  await daemon.cli("volume", "create", "vol0", "--size", "4GiB");
  const piece = (number: number) => Buffer.alloc(MIB, 1 + (number % 255));
  let client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
  const written = await fillUp(client, piece);
  await client.trim(0, 50 * MIB);
  await client.close();
  // Whatever it can do there, it must not take the last room that opening needs.
  await daemon.tryCli("gc");
  for (const end of [() => daemon.stop(), () => daemon.kill()]) {
    await end();
    await daemon.start();
    client = await NbdBlockClient.open(daemon.nbdSocket, "vol0");
    for (let number = 50; number < written; number += 50) {
      assert.deepEqual(await client.read(number * MIB, MIB), new Uint8Array(piece(number)));
    }
    await client.close();
  }
  await daemon.cli("volume", "delete", "vol0");
});

/** Writes whole MiB from `first` on until the pool is full; returns where it stopped. */
async function fillUp(client: NbdBlockClient, piece: (number: number) => Buffer, first = 0): Promise<number> {
  for (let number = first; ; number++) {
    try {
      await client.write(number * MIB, piece(number), { fua: false });
    } catch (error) {
      assert.ok(error instanceof NbdError && error.errno === ENOSPC, String(error));
      return number;
    }
  }
}

/** Space comes back in the background, so the first attempts may still be refused. */
async function untilWritable(client: NbdBlockClient, mebibytes: number): Promise<void> {
  const deadlineMs = performance.now() + SPACE_TIMEOUT_MS;
  for (let number = 0; number < mebibytes; ) {
    try {
      await client.write((3000 + number) * MIB, Buffer.alloc(MIB, 9), { fua: false });
      number++;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await delay(200);
    }
  }
  await client.trim(3000 * MIB, mebibytes * MIB);
}
