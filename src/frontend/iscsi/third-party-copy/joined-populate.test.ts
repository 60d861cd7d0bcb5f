// POPULATE TOKEN where the data is on several members: SCSI takes one token, and gets one (T5).
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  populateTokenList,
  readTokenInformation,
  receiveCdb,
  tokenCdb,
  writeUsingTokenList,
} from "../../../../test/support/copy-commands.ts";
import { bytesOf, patternBytes, withSimulatedPool } from "../../../../test/support/simulated-pool.ts";
import { makeLayer } from "../../../../test/support/tree-layer.ts";
import { type BlockDevice, MemoryDevice } from "../../../device/mod.ts";
import { TokenRoom } from "../../../offload/mod.ts";
import type { CopyUnit } from "../unit/third-party-copy.ts";
import { CopyManager } from "./mod.ts";

const MIB = 2 ** 20;
const BLOCK_BYTES = 512;
const NEXUS = {
  number: 1,
  initiator: "iqn.x:host",
  initiatorPort: "iqn.x:host,i,0x1",
  targetPort: "iqn.y:disk,t,0x1",
  portalGroupTag: 1,
  relativePort: 1,
  isProtected: true,
};

function unitOf(device: BlockDevice): CopyUnit {
  return {
    device,
    blockBytes: BLOCK_BYTES,
    capacityBlocks: device.sizeBytes / BLOCK_BYTES,
    designators: [],
    checkReadable: () => undefined,
    checkWritable: () => undefined,
    change: (_range, work) => work(),
  };
}

for (const kind of ["stripe", "span"] as const)
  test(`T5: over SCSI one token stands for all of a range of a ${kind}, and is written as the data was`, () =>
    withSimulatedPool(async ({ pool, world }) => {
      const { clock, random } = world;
      const room = await TokenRoom.open({ pool, clock, random, key: new Uint8Array(32), report: () => {} });
      for (const name of ["a", "b"]) await pool.createVolume({ name, sizeBytes: MIB });
      const open = (volume: string) => room.overPool({ volume }, pool.openVolume(volume));
      const memory = new MemoryDevice({ sizeBytes: MIB, geometry: { minimumBlockBytes: BLOCK_BYTES } });
      const emulated = room.emulatedOver(memory, { id: "file", description: "file" });
      const parameters = kind === "stripe" ? { chunkBytes: 65_536 } : {};
      const { device } = await makeLayer(kind, [open("a"), emulated], parameters);
      const [source, target] = [unitOf(device), unitOf(open("b"))];
      const data = Buffer.from(patternBytes(MIB / 2, 3));
      const at = kind === "stripe" ? 512 : MIB - data.length / 2;
      await device.write(at, data, 0);
      const manager = new CopyManager({ clock, tokens: room, findUnit: () => undefined });
      const send = async (unit: CopyUnit, cdb: Uint8Array, dataOut: Uint8Array = new Uint8Array()) => {
        const signal = new AbortController().signal;
        const command = { nexus: NEXUS, lun: 0, cdb, dataOut, dataInBytesMax: 0xffffff, signal };
        const { status, dataIn } = await manager.execute(command, unit);
        assert.equal(status, 0);
        return dataIn ?? new Uint8Array();
      };
      const blocks = data.length / BLOCK_BYTES;
      const populate = populateTokenList({ ranges: [{ lba: at / BLOCK_BYTES, blocks }] });
      await send(source, tokenCdb(0x10, 1, populate.length), populate);
      const made = readTokenInformation(await send(source, receiveCdb(0x07, 1, 4096)));
      assert.deepEqual([made.status, made.blocks], [1, blocks]);
      assert.deepEqual(
        room.list().map(({ lengthBytes, creator }) => [lengthBytes, creator]),
        [[data.length, "iqn.x:host #1"]],
      );
      await device.write(at, Buffer.alloc(data.length, 1), 0);
      const write = writeUsingTokenList({ token: made.token!, ranges: [{ lba: 16, blocks }] });
      await send(target, tokenCdb(0x11, 2, write.length), write);
      assert.ok(Buffer.from(await bytesOf(target.device, 16 * BLOCK_BYTES, data.length)).equals(data));
      await room.revoke(made.token!, { strength: "mandatory" });
      assert.deepEqual([room.counters.live, pool.pins().length], [0, 0]);
    }));
