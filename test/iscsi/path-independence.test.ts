// A token is good on every path of the daemon, whichever one it came from (T15): command line, REST, iSCSI, a stack;
// and it lives as long as it was asked to, over restarts and SIGKILL (T10). What was written is looked at over NBD.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CopySession, patternBytes } from "../support/copy-session.ts";
import { Daemon } from "../support/daemon.ts";
import { IscsiInitiator, needsLibiscsi } from "../support/iscsi-initiator.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const MIB = 2 ** 20;
const VOLUME_BYTES = 32 * MIB;
const BLOCK_BYTES = 512;
const PAGE_BYTES = 4096;
const DATA_OFFSET = 3 * MIB + PAGE_BYTES;
/** Whole pages and one block. */
const DATA = patternBytes(5 * MIB + BLOCK_BYTES, 15);
const PERSISTENT_ROD = 0x00800002;
const LIST = 0x15;

const blocksOf = (offsetBytes: number, lengthBytes: number) => {
  return { lba: offsetBytes / BLOCK_BYTES, blocks: lengthBytes / BLOCK_BYTES };
};
const SOURCE = blocksOf(DATA_OFFSET, DATA.length);
const SOURCE_FLAGS = ["--offset", String(DATA_OFFSET), "--length", String(DATA.length)];

describe("a token is good on every path", needsLibiscsi(), () => {
  const folder = new TemporaryFolder();
  let daemon: Daemon;
  let targets = 0;

  before(async () => {
    daemon = await Daemon.start({ poolSize: "2GiB" });
    await daemon.cli("volume", "create", "source", "--size", String(VOLUME_BYTES));
    await overwrite("source", DATA);
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** A new volume of zeros. */
  async function target(): Promise<string> {
    const name = `target-${++targets}`;
    await daemon.cli("volume", "create", name, "--size", String(VOLUME_BYTES));
    return name;
  }

  async function overwrite(volume: string, bytes: Uint8Array): Promise<void> {
    const client = await NbdBlockClient.open(daemon.nbdSocket, volume);
    await client.write(DATA_OFFSET, bytes, { fua: false });
    await client.close();
  }

  /** What NBD clients read at `offset`, and zeros around it, as in a volume that has nothing else. */
  async function assertServed(volume: string, offset: number): Promise<void> {
    const client = await NbdBlockClient.open(daemon.nbdSocket, volume);
    const expected = Buffer.alloc(VOLUME_BYTES);
    DATA.copy(expected, offset);
    for (let at = 0; at < VOLUME_BYTES; at += 16 * MIB) {
      const served = Buffer.from(await client.read(at, 16 * MIB));
      assert.ok(served.equals(expected.subarray(at, at + 16 * MIB)), `${volume} differs behind ${at}`);
    }
    await client.close();
  }

  async function withSession<Result>(
    volume: string,
    use: (session: CopySession) => Promise<Result>,
  ): Promise<Result> {
    await using initiator = await IscsiInitiator.connect({
      portal: daemon.endpoints.iscsi[0]!,
      target: `iqn.2026-11.io.ropewalk:${volume}`,
    });
    return await use(new CopySession(initiator, BLOCK_BYTES));
  }

  const tokenByScsi = (volume: string, rodType?: number) =>
    withSession(volume, (session) => session.token([SOURCE], rodType === undefined ? {} : { rodType }));

  const writeByScsi = (volume: string, token: Uint8Array, offset: number) =>
    withSession(volume, (session) =>
      session.writeUsing({ token, ranges: [blocksOf(offset, DATA.length)] }, LIST),
    );

  async function tokenByCommand(...flags: string[]): Promise<Buffer> {
    const file = folder.file(`made-${++targets}`);
    await daemon.cli("token", "create", "source", ...SOURCE_FLAGS, ...flags, "--out", file);
    return readFileSync(file);
  }

  function writeByCommand(volume: string, token: Uint8Array, offset: number) {
    const file = folder.file(`given-${++targets}`);
    writeFileSync(file, token);
    return daemon.tryCli("token", "write", file, volume, "--offset", String(offset), "--json");
  }

  function rest(path: string, body: object): Promise<Response> {
    const key = readFileSync(join(daemon.dataDirectory, "admin.key"), "utf8").trim();
    return fetch(`${daemon.httpUrl}/api/v1${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  }

  const base64 = (token: Uint8Array) => Buffer.from(token).toString("base64");

  test("one made by the command line is written by WRITE USING TOKEN", async () => {
    const token = await tokenByCommand();
    assert.equal(token.length, 512);
    const volume = await target();
    assert.equal(await writeByScsi(volume, token, 7 * MIB), "good");
    await assertServed(volume, 7 * MIB);
  });

  test("one made over REST is written by WRITE USING TOKEN, off by a block", async () => {
    const wish = { source: "source", offsetBytes: DATA_OFFSET, lengthBytes: DATA.length };
    const made = (await (await rest("/tokens", wish)).json()) as { token: string };
    const volume = await target();
    assert.equal(await writeByScsi(volume, Buffer.from(made.token, "base64"), 9 * MIB + 512), "good");
    await assertServed(volume, 9 * MIB + 512);
  });

  test("one made by POPULATE TOKEN is written by the command line; only its last, partial page moves", async () => {
    const token = await tokenByScsi("source");
    const volume = await target();
    const { code, stdout, stderr } = await writeByCommand(volume, token, 4 * MIB + PAGE_BYTES);
    assert.equal(code, 0, stderr);
    const { bytes, bytesMoved } = JSON.parse(stdout) as { bytes: number; bytesMoved: number };
    assert.equal(bytes, DATA.length);
    assert.ok(bytesMoved <= 2 * PAGE_BYTES, `${bytesMoved} bytes moved`);
    await assertServed(volume, 4 * MIB + PAGE_BYTES);
  });

  test("one made by POPULATE TOKEN is written and read over REST", async () => {
    const token = base64(await tokenByScsi("source"));
    const volume = await target();
    const written = await rest("/tokens/write", { token, volume, offsetBytes: MIB });
    assert.equal(written.status, 200);
    await assertServed(volume, MIB);
    const read = await rest("/tokens/read", { token, offsetBytes: 512, lengthBytes: MIB });
    assert.equal(read.status, 200);
    assert.ok(Buffer.from(await read.arrayBuffer()).equals(DATA.subarray(512, 512 + MIB)));
  });

  test("one made through a stack is written to a plain volume, and the other way round", async () => {
    await daemon.cli("volume", "create", "under", "--size", String(VOLUME_BYTES));
    const file = folder.file("stack.yaml");
    writeFileSync(file, "layer: span\nmembers: [{volume: under}]\n");
    await daemon.cli("volume", "create", "stack", "--stack", file);
    assert.equal(await writeByScsi("stack", await tokenByCommand(), DATA_OFFSET), "good");
    await assertServed("stack", DATA_OFFSET);
    const volume = await target();
    const { code, stderr } = await writeByCommand(volume, await tokenByScsi("stack"), 11 * MIB);
    assert.equal(code, 0, stderr);
    await assertServed(volume, 11 * MIB);
  });

  test("what is written to the source later, over another path, is not in it", async () => {
    const tokens = [await tokenByCommand(), await tokenByScsi("source")] as const;
    try {
      await overwrite("source", patternBytes(DATA.length, 16));
      for (const token of tokens) {
        const volume = await target();
        assert.equal(await writeByScsi(volume, token, 2 * MIB), "good");
        await assertServed(volume, 2 * MIB);
      }
    } finally {
      await overwrite("source", DATA);
    }
  });

  test("one that was revoked by the command line is refused over iSCSI, 23h/06h", async () => {
    const token = await tokenByScsi("source");
    writeFileSync(folder.file("revoked"), token);
    await daemon.cli("token", "revoke", folder.file("revoked"));
    assert.equal(await writeByScsi(await target(), token, 0), "5/23/06");
  });

  for (const [what, again] of [
    ["a restart", () => daemon.stop()],
    ["SIGKILL", () => daemon.kill()],
  ] as const) {
    test(`a persistent one outlives ${what} on every path, any other does not`, async () => {
      const persistent = [await tokenByCommand("--persistent"), await tokenByScsi("source", PERSISTENT_ROD)];
      const others = [await tokenByCommand(), await tokenByScsi("source")];
      const volumes = [await target(), await target()] as const;
      await overwrite("source", patternBytes(DATA.length, 17));
      await again();
      await daemon.start();
      const [byCommand, byScsi] = persistent as [Buffer, Buffer];
      assert.equal(await writeByScsi(volumes[0], byCommand, 6 * MIB), "good");
      await assertServed(volumes[0], 6 * MIB);
      const written = await writeByCommand(volumes[1], byScsi, 8 * MIB + PAGE_BYTES);
      assert.equal(written.code, 0, written.stderr);
      await assertServed(volumes[1], 8 * MIB + PAGE_BYTES);
      const last = await target();
      for (const token of others) {
        assert.equal(await writeByScsi(last, token, 0), "5/23/04");
        assert.match((await writeByCommand(last, token, 0)).stderr, /^ropewalk: TOKEN_UNKNOWN: /m);
      }
      await overwrite("source", DATA);
    });
  }
});
