import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServedControl, serveControl } from "../../test/support/served-control.ts";
import { openSmallPool } from "../../test/support/small-pool.ts";
import { hostClock, hostRandom } from "../host/mod.ts";
import { TOKEN_KEY_BYTES, TokenRoom } from "../offload/mod.ts";
import { Control } from "./control.ts";
import { decodeTokenFile, type TokenPiece } from "./token-file.ts";
import type { TokenWish } from "./tokens.ts";

const MIB = 2 ** 20;
const HERE = { isProtected: true };

/** Two volumes of 4 MiB, `v` with 8 KiB of nines at 4096. */
async function served(): Promise<ServedControl> {
  const daemon = await serveControl();
  for (const name of ["v", "w"]) await daemon.control.volumes.create({ name, sizeBytes: 4 * MIB });
  await using device = opened(daemon, "v");
  await device.device.write(4096, new Uint8Array(8192).fill(9), 0);
  return daemon;
}

function opened({ control }: ServedControl, volume: string) {
  const device = control.exports.open(volume);
  return { device, [Symbol.asyncDispose]: () => device.close() };
}

async function bytesOf(daemon: ServedControl, volume: string): Promise<Buffer> {
  await using device = opened(daemon, volume);
  const bytes = Buffer.alloc(16_384);
  await device.device.read(0, bytes);
  return bytes;
}

async function made({ control }: ServedControl, wish: Partial<TokenWish> = {}): Promise<TokenPiece[]> {
  const { file } = await control.tokens.create({ source: "v", withChecksums: true, ...wish }, HERE);
  return decodeTokenFile(file);
}

const write = ({ control }: ServedControl, tokens: readonly TokenPiece[]) =>
  control.tokens.write({ tokens, volume: "w" }, HERE);

test("a token with checksums is a file of a primary and a companion, and is written, shown, read and revoked whole", async () => {
  await using daemon = await served();
  const { tokens } = daemon.control;
  const pieces = await made(daemon);
  assert.deepEqual(
    pieces.map(({ role, dataOffsetBytes, lengthBytes }) => [role, dataOffsetBytes, lengthBytes]),
    [
      ["primary", 0, 4 * MIB],
      ["companion", 0, 4 * MIB],
    ],
  );
  assert.deepEqual(
    tokens.show(pieces, HERE).map(({ role, kind, provider }) => [role, kind, provider]),
    [
      ["primary", "data", "pool"],
      ["companion", "hash", "checksum"],
    ],
  );
  const { bytes, bytesMoved } = await write(daemon, pieces);
  assert.deepEqual([bytes, bytesMoved], [4 * MIB, 0]);
  assert.deepEqual(await bytesOf(daemon, "w"), await bytesOf(daemon, "v"));
  const { lengthBytes } = tokens.read(pieces, {}, HERE);
  assert.equal(lengthBytes, 4 * MIB);
  await tokens.revoke(pieces, { strength: "mandatory" });
  await assert.rejects(write(daemon, pieces), { code: "TOKEN_REVOKED" });
});

test("companions go down with the write: one whose primary is left out fails it", async () => {
  await using daemon = await served();
  const [first, second] = [await made(daemon), await made(daemon)];
  await assert.rejects(write(daemon, [first[0]!, second[1]!]), { code: "TOKEN_UNKNOWN" });
  assert.deepEqual(await bytesOf(daemon, "w"), Buffer.alloc(16_384));
  await write(daemon, [first[0]!]);
  assert.deepEqual(await bytesOf(daemon, "w"), await bytesOf(daemon, "v"));
});

test("T17: a provider of a stack is chosen by its place, by chance or by what is known of it", async () => {
  await using daemon = await served();
  const { control } = daemon;
  const { open } = control.exports;
  const asked: unknown[] = [];
  control.exports.open = (name) => {
    const device = open.call(control.exports, name);
    const offload = {
      ...device.offload!,
      providers: ["outer", "middle", "pool"],
      read: (request: Parameters<NonNullable<typeof device.offload>["read"]>[0]) => {
        asked.push(request.provider);
        return device.offload!.read({ ...request, provider: { skip: 0 } });
      },
    };
    return Object.create(device, { offload: { value: offload }, close: { value: () => device.close() } });
  };
  for (const choose of [undefined, "first", "last", "random", "least-loaded"] as const)
    await made(daemon, { withChecksums: false, choose });
  await made(daemon, { withChecksums: false, provider: { id: "middle" }, choose: "last" });
  const [byDefault, first, last, random, leastLoaded, named] = asked;
  assert.deepEqual([byDefault, first, last], [{ skip: 0 }, { skip: 0 }, { id: "pool" }]);
  assert.ok(["outer", "middle", "pool"].includes((random as { id: string }).id));
  assert.deepEqual([leastLoaded, named], [{ id: "outer" }, { id: "middle" }]);
});

test("over the API a provider is named or skipped, and checksums are asked for", async () => {
  await using daemon = await served();
  const create = (wish: object) => daemon.call("POST", "/api/v1/tokens", { source: "v", ...wish });
  const { status, json } = await create({ provider: "pool", secondary: "checksum" });
  assert.equal(status, 201);
  const { token, tokens } = json as { token: string; tokens: { role: string }[] };
  assert.deepEqual(
    tokens.map(({ role }) => role),
    ["primary", "companion"],
  );
  for (const wish of [{ provider: "other" }, { skip: 1 }, { policy: "reference", secondary: "checksum" }])
    assert.equal((await create(wish)).status, 501, JSON.stringify(wish));
  for (const given of [{ token }, { tokens }]) {
    const shown = await daemon.call("POST", "/api/v1/tokens/show", given);
    assert.equal((shown.json as { lengthBytes: number }).lengthBytes, 4 * MIB);
    const written = await daemon.call("POST", "/api/v1/tokens/write", { ...given, volume: "w" });
    assert.equal((written.json as { bytes: number }).bytes, 4 * MIB);
  }
  assert.deepEqual(await bytesOf(daemon, "w"), await bytesOf(daemon, "v"));
  const stray = (await create({ secondary: "checksum" })).json as { tokens: object[] };
  const mixed = { tokens: [tokens[0], stray.tokens[1]], volume: "w" };
  assert.equal((await daemon.call("POST", "/api/v1/tokens/write", mixed)).status, 404);
  assert.deepEqual(daemon.defects, []);
});

test("T13: a token is told with the ways to its source, as long as that is there", async () => {
  await using opened = await openSmallPool();
  const { pool } = opened;
  const room = await TokenRoom.open({
    pool,
    clock: hostClock,
    random: hostRandom,
    key: hostRandom.bytes(TOKEN_KEY_BYTES),
    settings: { routes: ["http://h/{volume}", "nbd://h/{source}"] },
    report() {},
  });
  const none = () => ({ lastMinute: 0, sinceStart: 0 });
  const control = new Control({
    pool,
    clock: hostClock,
    machine: { version: "1", rssBytes: () => 0, longestTurnMs: none, longestDelayMs: none },
    stack: (_volume, device) => device,
    tokens: room,
  });
  await control.volumes.create({ name: "v", sizeBytes: MIB });
  await control.snapshots.create("v", "s");
  const create = async (source: string) =>
    decodeTokenFile((await control.tokens.create({ source }, HERE)).file);
  const made = [await create("v"), await create("v@s")];
  const routes = () => made.map((pieces) => control.tokens.show(pieces, HERE)[0]!.routes);
  assert.deepEqual(routes(), [["http://h/v", "nbd://h/v"], ["nbd://h/v@s"]]);
  const routesOf = control.tokens.routes();
  const listed = control.tokens.list().map((token) => [token.source, routesOf(token).length]);
  assert.deepEqual(
    new Map(listed as [string, number][]),
    new Map([
      ["v", 2],
      ["v@s", 1],
    ]),
  );
  await control.snapshots.delete("v", "s");
  await control.volumes.delete("v");
  assert.deepEqual(routes(), [[], []]);
  await room.close();
});
