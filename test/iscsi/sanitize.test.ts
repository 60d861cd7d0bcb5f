// SANITIZE on the real daemon, killed in the middle of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { IscsiInitiator, needsLibiscsi } from "../support/iscsi-initiator.ts";

const READ = { cdb: Buffer.from([0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]), dataInBytes: 512 };
/** OVERWRITE with IMMED and one byte's pattern; it takes four seconds here. */
const OVERWRITE = {
  cdb: Buffer.from([0x48, 0x81, 0, 0, 0, 0, 0, 0, 5, 0]),
  dataOut: Uint8Array.of(1, 0, 0, 1, 9),
};

test(
  "a SANITIZE that SIGKILL interrupts has failed, and is told so after every start",
  needsLibiscsi(),
  async () => {
    await using daemon = await Daemon.start({ poolSize: "1GiB" });
    await daemon.cli("volume", "create", "v", "--size", "256MiB");
    const connect = () =>
      IscsiInitiator.connect({ portal: daemon.endpoints.iscsi[0]!, target: "iqn.2026-11.io.ropewalk:v" });
    const initiator = await connect();
    let reply = await initiator.command(OVERWRITE);
    // The session's own unit attentions come first.
    while (reply.status !== 0) reply = await initiator.command(OVERWRITE);
    const { sense } = await initiator.command(READ);
    assert.deepEqual([sense[2]! & 0x0f, sense[12], sense[13]], [0x02, 0x04, 0x1b]);
    await daemon.kill();
    await initiator.drop().catch(() => undefined);
    for (let restarts = 0; restarts < 2; restarts++) {
      await daemon.start();
      // libiscsi asks TEST UNIT READY of every unit before it takes a login for complete.
      await assert.rejects(connect(), /0x3103/);
      await daemon.kill();
    }
  },
);
