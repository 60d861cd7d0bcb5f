// The real tools of libiscsi against the server on loopback TCP.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../../../test/support/needs.ts";
import { runProgram, tryProgram } from "../../../test/support/run-program.ts";
import { hostClock, hostRandom, SocketNetwork } from "../../host/mod.ts";
import { IscsiServer, type TargetAuthentication } from "./mod.ts";
import { OneTarget, TARGET } from "./testing/direct-session.ts";

const TOOLS = needs("iscsi-ls", "iscsi-inq", "iscsi-test-cu");
const INCOMING = { user: "joe", secret: "a-secret-of-joe" };
const OUTGOING = { user: "disk", secret: "a-secret-of-disk" };
const OPTIONS = { timeoutMs: 60_000 };

async function serve(auth: TargetAuthentication, use: (portal: string) => Promise<void>): Promise<void> {
  const targets = new OneTarget();
  targets.auth = auth;
  const server = new IscsiServer({ targets, clock: hostClock, random: hostRandom });
  const place = { portalGroupTag: 1, relativePort: 1 };
  const address = await server.listen(
    new SocketNetwork(),
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    place,
  );
  assert.equal(address.kind, "tcp");
  try {
    await use(server.portals[0]!.address);
  } finally {
    await server.close({ graceMs: 200 });
  }
  assert.equal(targets.openNow, 0);
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
}

test("iscsi-ls finds the target, its portal and its size", TOOLS, async () => {
  await serve("none", async (portal) => {
    const out = await runProgram("iscsi-ls", ["-s", `iscsi://${portal}/`], OPTIONS);
    assert.match(out, new RegExp(`Target:${TARGET} Portal:${portal},1`));
    assert.match(out, /Lun:0 +Type:DIRECT_ACCESS/);
  });
});

test("iscsi-inq reads what the unit says of itself", TOOLS, async () => {
  await serve("none", async (portal) => {
    const out = await runProgram("iscsi-inq", [`iscsi://${portal}/${TARGET}/0`], OPTIONS);
    assert.match(out, /Vendor:TEST/);
  });
});

test("CHAP works one way and both ways, and a wrong secret does not", TOOLS, async () => {
  await serve({ incoming: [INCOMING], outgoing: OUTGOING }, async (portal) => {
    const inquire = async (secret: string, environment: Record<string, string> = {}) => {
      const url = `iscsi://${INCOMING.user}%${secret}@${portal}/${TARGET}/0`;
      return (await tryProgram("iscsi-inq", [url], { ...OPTIONS, environment })).code;
    };
    const target = (secret: string) => ({
      LIBISCSI_CHAP_TARGET_USERNAME: OUTGOING.user,
      LIBISCSI_CHAP_TARGET_PASSWORD: secret,
    });
    assert.equal(await inquire(INCOMING.secret), 0);
    assert.equal(await inquire(INCOMING.secret, target(OUTGOING.secret)), 0);
    assert.notEqual(await inquire("another-secret"), 0);
    assert.notEqual(await inquire(INCOMING.secret, target("another-secret")), 0);
  });
});

for (const suite of [
  "iSCSI.iSCSIcmdsn",
  "iSCSI.iSCSIResiduals",
  "iSCSI.iSCSITMF",
  "ALL.Read10.Simple",
  "ALL.Write10.Simple",
  "ALL.Read16.Simple",
  "ALL.Write16.Simple",
]) {
  test(`libiscsi's suite ${suite} passes`, TOOLS, async () => {
    await serve("none", async (portal) => {
      const parameters = ["-d", "-f", "-n", "-t", suite, `iscsi://${portal}/${TARGET}/0`];
      const { stdout, stderr } = await tryProgram("iscsi-test-cu", parameters, OPTIONS);
      // The columns are total, ran, passed, failed.
      const [, total, passed, failed] = /tests +(\d+) +\d+ +(\d+) +(\d+)/.exec(stdout) ?? [];
      assert.equal(Number(total) > 0 && passed === total && failed === "0", true, stdout + stderr);
    });
  });
}
