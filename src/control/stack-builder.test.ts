// Stacks over what a daemon has, and token copies over them: holes of what cannot offload (a raw file, a foreign NBD
// export), and a token of one use over borders of members.
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { NbdTestServer } from "../../test/support/nbd-test-server.ts";
import { bytesOf, patternBytes } from "../../test/support/simulated-pool.ts";
import { openSmallPool } from "../../test/support/small-pool.ts";
import { TemporaryFolder } from "../../test/support/temporary-folder.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import { type BlockDevice, checkDevice, type Extent, type OffloadReadRequest } from "../device/mod.ts";
import { hostClock, hostRandom, openFileDevice, openNbdClientDevice } from "../host/mod.ts";
import { TOKEN_KEY_BYTES, TokenRoom } from "../offload/mod.ts";
import { Exports } from "./exports.ts";
import { makeStackBuilder } from "./stack-builder.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const DATA_AT = 512 * MIB;

interface World {
  readonly folder: TemporaryFolder;
  /** An opening of a volume of the pool, or of a stack over the members. */
  volume(name: string, sizeBytes?: number): Promise<BlockDevice>;
  stack(name: string, description: object): Promise<BlockDevice>;
}

async function withWorld(body: (world: World) => Promise<void>): Promise<void> {
  using folder = new TemporaryFolder();
  await using opened = await openSmallPool();
  const { pool } = opened;
  const key = hostRandom.bytes(TOKEN_KEY_BYTES);
  const tokens = await TokenRoom.open({ pool, clock: hostClock, random: hostRandom, key, report: () => {} });
  const exports = new Exports({ pool, clock: hostClock, stack: (_volume, device) => device, tokens });
  const builder = makeStackBuilder({
    exports: () => exports,
    members: {
      openFile: async (path) => checkDevice(await openFileDevice(path)),
      openNbd: async (uri) => checkDevice(await openNbdClientDevice(uri)),
      isOwnFile: async () => false,
    },
    tokens,
    world: { clock: hostClock, print: () => {} },
  });
  const devices: BlockDevice[] = [];
  const kept = (device: BlockDevice) => {
    devices.push(device);
    return device;
  };
  try {
    await body({
      folder,
      volume: async (name, sizeBytes = GIB) => {
        await pool.createVolume({ name, sizeBytes });
        return kept(exports.open(name));
      },
      stack: async (name, description) => kept((await builder.build(name, description)).device),
    });
  } finally {
    for (const device of devices) await device.close();
    await tokens.close();
  }
}

/** A file of 1 GiB of which 1 MiB is data. */
function sparseFile(folder: TemporaryFolder, name: string): string {
  const path = folder.file(name);
  writeFileSync(path, "");
  truncateSync(path, GIB);
  return path;
}

async function bind(device: BlockDevice, request: Partial<OffloadReadRequest> = {}): Promise<Uint8Array> {
  const { tokens, lengthBytes } = await device.offload!.read({
    ...readRequest(0, device.sizeBytes),
    ttlMs: 60_000,
    ...request,
  });
  assert.equal(lengthBytes, device.sizeBytes);
  return tokens[0]!.token;
}

async function copy(target: BlockDevice, token: Uint8Array, size = target.sizeBytes): Promise<number> {
  const { lengthBytes, movedBytes } = await target.offload!.write({
    tokens: [token],
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: size }],
    fua: false,
    isProtected: true,
  });
  assert.equal(lengthBytes, size);
  return movedBytes;
}

async function checkOnlyData(target: BlockDevice): Promise<void> {
  const extents: readonly Extent[] = await target.extents(0, GIB, 100);
  assert.deepEqual(extents, [
    { offsetBytes: 0, lengthBytes: DATA_AT, kind: "hole" },
    { offsetBytes: DATA_AT, lengthBytes: MIB, kind: "data" },
    { offsetBytes: DATA_AT + MIB, lengthBytes: GIB - DATA_AT - MIB, kind: "hole" },
  ]);
  assert.deepEqual(await bytesOf(target, DATA_AT, MIB), new Uint8Array(MIB).fill(1));
}

test("a copy from a sparse file moves its data and nothing for its holes, which stay holes", () =>
  withWorld(async ({ folder, volume, stack }) => {
    const source = await stack("s", { file: sparseFile(folder, "from") });
    await source.write(DATA_AT, new Uint8Array(MIB).fill(1), 0);
    const token = await bind(source);
    for (const target of [await volume("v"), await stack("t", { file: sparseFile(folder, "to") })]) {
      await target.write(0, new Uint8Array(65_536).fill(2), 0);
      assert.equal(await copy(target, token), 2 * MIB);
      await checkOnlyData(target);
    }
  }));

test("what was a hole when the token was made stays one at the destination, also when it was written since", () =>
  withWorld(async ({ folder, volume, stack }) => {
    const source = await stack("s", { file: sparseFile(folder, "from") });
    await source.write(DATA_AT, new Uint8Array(MIB).fill(1), 0);
    const token = await bind(source);
    await source.write(MIB + 512, new Uint8Array(MIB).fill(3), 0);
    await source.trim(DATA_AT, MIB, 0);
    const target = await volume("v");
    assert.equal(await copy(target, token), 2 * MIB);
    await checkOnlyData(target);
  }));

test("a copy from an NBD export asks for its map and moves only data", () =>
  withWorld(async ({ folder, volume, stack }) => {
    const device = checkDevice(await openFileDevice(sparseFile(folder, "from")));
    await device.write(DATA_AT, new Uint8Array(MIB).fill(1), 0);
    await using server = await NbdTestServer.start({ exports: { disk: { device } } });
    const source = await stack("s", { nbd: `nbd+unix:///disk?socket=${server.path}` });
    const target = await volume("v");
    assert.equal(await copy(target, await bind(source)), 2 * MIB);
    await checkOnlyData(target);
    await source.close();
  }));

for (const layer of ["stripe", "span"])
  test(`a token of one use lasts for all runs of a write to a ${layer}, and ends with it`, () =>
    withWorld(async ({ volume, stack }) => {
      const source = await volume("v", MIB);
      await source.write(0, patternBytes(MIB / 2, 1), 0);
      for (const name of ["a", "b"]) await (await volume(name, MIB / 2)).write(0, patternBytes(4096, 2), 0);
      const members = [{ volume: "a" }, { volume: "b" }];
      const target = await stack("s", { layer, members, ...(layer === "stripe" && { chunkBytes: 65_536 }) });
      const token = await bind(source, { deleteOnUse: true });
      assert.equal(await copy(target, token), 0);
      assert.deepEqual(await bytesOf(target), await bytesOf(source));
      await assert.rejects(copy(target, token, 65_536), { code: "TOKEN_DELETED" });
    }));
