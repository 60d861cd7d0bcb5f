// STARTTLS: the three modes, client certificates, and that nothing from before it counts after it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { makeCertificates } from "../../../test/support/certificates.ts";
import { contextData, goData, NbdClient, u32 } from "../../../test/support/nbd-client.ts";
import { NbdTestServer } from "../../../test/support/nbd-test-server.ts";
import { needs } from "../../../test/support/needs.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import { TemporaryFolder } from "../../../test/support/temporary-folder.ts";
import { SocketNetwork } from "../../host/mod.ts";
import type { TlsMode } from "./mod.ts";

const openssl = needs("openssl");
const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());
const certificates = openssl.skip === false ? await makeCertificates(folder.path) : undefined;

function tls(mode: "optional" | "forced", clients: "any" | "certified" = "any"): TlsMode {
  const { server, authority } = certificates!;
  const identity = new SocketNetwork().tlsIdentity({
    ...server,
    ...(clients === "certified" ? { clientAuthority: authority } : {}),
  });
  return { mode, identity };
}

async function serve(mode: TlsMode) {
  const device = new ObservedDevice({ sizeBytes: 1024 * 1024 });
  return await NbdTestServer.start({ exports: { d: { device } }, tls: mode });
}

async function started(
  server: NbdTestServer,
  where: string | { port: number } = server.path,
): Promise<NbdClient> {
  const client = await NbdClient.connect(where);
  await client.greet();
  assert.equal((await client.option(5)).outcome, "ACK");
  return client;
}

const trusting = () => ({ ca: certificates!.authority, servername: "localhost" });

test("over TLS, on TCP and on a Unix socket, requests work as without", openssl, async () => {
  await using server = await serve(tls("optional"));
  for (const where of [server.path, { port: server.port }]) {
    using client = await started(server, where);
    await client.secure(trusting());
    await client.negotiate("structured");
    assert.equal(await client.go("d"), "ACK");
    const bytes = Buffer.alloc(700_000, 0x5a);
    assert.equal(await client.write(100, bytes), 0);
    assert.equal((await client.read(100, bytes.length)).equals(bytes), true);
    for (let count = 0; count < 200; count++) client.request({ type: 0, length: 4096 });
    for (let count = 0; count < 200; count++) assert.equal((await client.reply()).errno, 0);
  }
});

test("without TLS on the server STARTTLS is refused and the rest works", async () => {
  await using server = await serve({ mode: "none" });
  using client = await server.connect();
  await client.greet();
  assert.equal((await client.option(5)).outcome, "ERR_UNSUP");
  assert.equal(await client.go("d"), "ACK");
});

test("optional TLS lets plain clients in", openssl, async () => {
  await using server = await serve(tls("optional"));
  using client = await server.open("d", "extended");
  assert.equal((await client.read(0, 512)).length, 512);
});

test("forced TLS answers nothing but STARTTLS and ABORT, and opens no export", openssl, async () => {
  await using server = await serve(tls("forced"));
  using client = await server.connect();
  await client.greet();
  for (const [option, data] of [
    [3, undefined],
    [6, goData("d", [])],
    [7, goData("d", [])],
    [8, undefined],
    [9, contextData("d", [])],
    [11, undefined],
    [99, undefined],
  ] as const)
    assert.equal((await client.option(option, data)).outcome, "ERR_TLS_REQD");
  assert.deepEqual(server.opened, []);
  assert.equal((await client.option(2)).outcome, "ACK");
  using hasty = await server.connect();
  await hasty.greet();
  hasty.sendOption(1, Buffer.from("d"));
  await hasty.untilClosed();
  assert.deepEqual(server.opened, []);
});

test("STARTTLS with data, and a second one, are invalid", openssl, async () => {
  await using server = await serve(tls("optional"));
  using client = await server.connect();
  await client.greet();
  assert.equal((await client.option(5, Buffer.from("x"))).outcome, "ERR_INVALID");
  assert.equal((await client.option(5)).outcome, "ACK");
  await client.secure(trusting());
  assert.equal((await client.option(5)).outcome, "ERR_INVALID");
  assert.equal(await client.go("d"), "ACK");
});

test("what was negotiated before TLS is forgotten", openssl, async () => {
  await using server = await serve(tls("optional"));
  using client = await server.connect();
  await client.greet();
  assert.equal((await client.option(8)).outcome, "ACK");
  assert.equal((await client.option(10, contextData("d", ["base:allocation"]))).outcome, "ACK");
  assert.equal((await client.option(5)).outcome, "ACK");
  await client.secure(trusting());
  assert.equal((await client.option(9, contextData("d", []))).outcome, "ERR_INVALID");
  assert.equal(await client.go("d"), "ACK");
  // A simple reply: the structured ones of before do not hold.
  assert.equal((await client.read(0, 512)).length, 512);
});

test("bytes injected behind STARTTLS are never read as options (CVE-2021-3716)", openssl, async () => {
  await using server = await serve(tls("forced"));
  for (const gapMs of [0, 20]) {
    using client = await server.connect();
    await client.greet();
    const option = (number: number) => Buffer.concat([Buffer.from("IHAVEOPT"), u32(number), u32(0)]);
    if (gapMs === 0) client.send(Buffer.concat([option(5), option(8), option(3)]));
    else {
      client.send(option(5));
      await new Promise((resolve) => setTimeout(resolve, gapMs));
      client.send(Buffer.concat([option(8), option(3)]));
    }
    await client.untilClosed();
    // At most the acknowledgement of STARTTLS and TLS's own alert came; no answer to what was injected.
    const left = await client.bytes(client.unreadBytes);
    const magics = left.toString("latin1").split("\x00\x03\xe8\x89\x04\x55\x65\xa9").length - 1;
    assert.equal(magics <= 1, true);
    assert.equal(left.includes("base:"), false);
  }
});

test("with a client authority only clients that it certified get in", openssl, async () => {
  await using server = await serve(tls("forced", "certified"));
  const { client: own } = certificates!;
  using good = await started(server);
  await good.secure({ ...trusting(), cert: own.certificate, key: own.key });
  assert.equal(await good.go("d"), "ACK");
  using bad = await started(server);
  // With TLS 1.3 the client believes that it is in until the server's alert comes.
  await bad.secure(trusting()).catch(() => {});
  await bad.untilClosed();
  assert.deepEqual(server.opened, ["d"]);
  assert.match(server.reports.join("\n"), /TLS|certificate/);
});

test("old TLS versions are turned away", openssl, async () => {
  await using server = await serve(tls("optional"));
  using client = await started(server);
  await assert.rejects(
    client.secure({
      ...trusting(),
      maxVersion: "TLSv1.1",
      minVersion: "TLSv1",
      ciphers: "DEFAULT@SECLEVEL=0",
    }),
  );
});

test("a client that starts TLS and then says nothing is closed when its time is up", openssl, async () => {
  const device = new ObservedDevice({ sizeBytes: 4096 });
  await using server = await NbdTestServer.start({
    exports: { d: { device } },
    tls: tls("optional"),
    limits: { handshakeTimeoutMs: 100 },
  });
  using client = await started(server);
  await client.untilClosed();
  assert.match(server.reports[0]!, /handshake took too long/);
});

test("texts that are no certificate are refused with the reason", () => {
  assert.throws(
    () => new SocketNetwork().tlsIdentity({ certificate: "x", key: "y" }),
    (error: { code?: string }) => error.code === "INVALID_CONFIG",
  );
});
