import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import {
  bytesAt,
  copyByTokens,
  pattern,
  TokenShelf,
  tokenMemoryDevice,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import { MemoryDevice } from "../memory-device.ts";
import { crc32 } from "./crc32.ts";
import { readPartitionTable, TableProblem } from "./partition-table.ts";

const MIB = 1024 * 1024;

testBlockDevice("partition", {
  runs: 30,
  open: async (sizeBytes) => {
    const disk = new MemoryDevice({ sizeBytes: sizeBytes + 8192 });
    disk.write(0, pattern(4096, 9), 0);
    disk.write(sizeBytes + 4096, pattern(4096, 9), 0);
    const { device } = await makeLayer("partition", [disk], { offsetBytes: 4096, lengthBytes: sizeBytes });
    return device;
  },
});

interface Entry {
  readonly first: number;
  readonly sectors: number;
  readonly type: number;
}

function mbrSector(entries: readonly Entry[]): Buffer {
  const sector = Buffer.alloc(512);
  for (const [index, { first, sectors, type }] of entries.entries()) {
    const at = 446 + 16 * index;
    sector[at + 4] = type;
    sector.writeUInt32LE(first, at + 8);
    sector.writeUInt32LE(sectors, at + 12);
  }
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** A disk of 1 MiB with a GPT of two partitions, numbers 1 and 3, and its backup. */
function gptDisk(sectorBytes = 512): MemoryDevice {
  const disk = new MemoryDevice({ sizeBytes: MIB });
  const sectors = MIB / sectorBytes;
  const entries = Buffer.alloc(128 * 128);
  const tableSectors = entries.length / sectorBytes;
  for (const [index, first, last] of [
    [0, 40, 79],
    [2, 80, 119],
  ] as const) {
    entries.fill(0xab, index * 128, index * 128 + 32);
    entries.writeBigUInt64LE(BigInt(first), index * 128 + 32);
    entries.writeBigUInt64LE(BigInt(last), index * 128 + 40);
  }
  const header = (own: number, other: number, table: number): Buffer => {
    const bytes = Buffer.alloc(sectorBytes);
    bytes.write("EFI PART");
    bytes.writeUInt32LE(0x10000, 8);
    bytes.writeUInt32LE(92, 12);
    bytes.writeBigUInt64LE(BigInt(own), 24);
    bytes.writeBigUInt64LE(BigInt(other), 32);
    bytes.writeBigUInt64LE(BigInt(2 + tableSectors), 40);
    bytes.writeBigUInt64LE(BigInt(sectors - tableSectors - 2), 48);
    bytes.writeBigUInt64LE(BigInt(table), 72);
    bytes.writeUInt32LE(128, 80);
    bytes.writeUInt32LE(128, 84);
    bytes.writeUInt32LE(crc32(entries), 88);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 92)), 16);
    return bytes;
  };
  disk.write(0, mbrSector([{ first: 1, sectors: sectors - 1, type: 0xee }]), 0);
  disk.write(sectorBytes, header(1, sectors - 1, 2), 0);
  disk.write(2 * sectorBytes, entries, 0);
  disk.write((sectors - 1 - tableSectors) * sectorBytes, entries, 0);
  disk.write((sectors - 1) * sectorBytes, header(sectors - 1, 1, sectors - 1 - tableSectors), 0);
  return disk;
}

const gptPartitions = (sectorBytes: number) => [
  { number: 1, offsetBytes: 40 * sectorBytes, lengthBytes: 40 * sectorBytes },
  { number: 3, offsetBytes: 80 * sectorBytes, lengthBytes: 40 * sectorBytes },
];

test("the checksum is that of the standard's example", () => {
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
});

for (const sectorBytes of [512, 4096])
  test(`a GPT with sectors of ${sectorBytes} bytes is read`, async () => {
    assert.deepEqual(await readPartitionTable(gptDisk(sectorBytes)), gptPartitions(sectorBytes));
  });

test("where the first header or its entries are damaged, the backup is read", async () => {
  for (const damagedAt of [512, 512 + 40, 1024 + 33]) {
    const disk = gptDisk();
    disk.write(damagedAt, Buffer.from([0x5a]), 0);
    assert.deepEqual(await readPartitionTable(disk), gptPartitions(512), String(damagedAt));
  }
});

test("a GPT whose both copies are damaged is not believed", async () => {
  const disk = gptDisk();
  disk.write(1024 + 33, Buffer.from([0x5a]), 0);
  disk.write(MIB - 512 + 60, Buffer.from([0x5a]), 0);
  await assert.rejects(readPartitionTable(disk), TableProblem);
});

test("an MBR's own and logical partitions are numbered as Linux does", async () => {
  const disk = new MemoryDevice({ sizeBytes: MIB });
  const extended = { first: 200, sectors: 1000, type: 5 };
  disk.write(0, mbrSector([{ first: 8, sectors: 100, type: 0x83 }, extended]), 0);
  const chain = [
    { first: 8, sectors: 50, type: 0x83 },
    { first: 100, sectors: 100, type: 5 },
  ];
  disk.write(200 * 512, mbrSector(chain), 0);
  disk.write(300 * 512, mbrSector([{ first: 8, sectors: 60, type: 0x83 }]), 0);
  assert.deepEqual(await readPartitionTable(disk), [
    { number: 1, offsetBytes: 8 * 512, lengthBytes: 100 * 512 },
    { number: 5, offsetBytes: 208 * 512, lengthBytes: 50 * 512 },
    { number: 6, offsetBytes: 308 * 512, lengthBytes: 60 * 512 },
  ]);
});

test("a chain of logical partitions in a circle ends with an error", async () => {
  const disk = new MemoryDevice({ sizeBytes: MIB });
  disk.write(0, mbrSector([{ first: 200, sectors: 1000, type: 5 }]), 0);
  const circle = [
    { first: 8, sectors: 50, type: 0x83 },
    { first: 0, sectors: 100, type: 5 },
  ];
  disk.write(200 * 512, mbrSector(circle), 0);
  await assert.rejects(readPartitionTable(disk), TableProblem);
});

test("whatever stands on a disk, reading its table ends with partitions inside it or a problem", async () => {
  const damage = fc.array(fc.tuple(fc.nat(40 * 512), fc.nat(255)), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), damage, async (hasTable, changes) => {
      const disk = hasTable ? gptDisk() : new MemoryDevice({ sizeBytes: MIB });
      disk.write(510, Buffer.from([0x55, 0xaa]), 0);
      for (const [at, byte] of changes) disk.write(at, Buffer.from([byte]), 0);
      try {
        for (const { offsetBytes, lengthBytes } of await readPartitionTable(disk))
          assert.ok(offsetBytes >= 0 && lengthBytes > 0 && offsetBytes + lengthBytes <= MIB);
      } catch (error) {
        assert.ok(error instanceof TableProblem, String(error));
      }
    }),
  );
});

test("a partition is found by its number, and a missing one says which there are", async () => {
  const { device } = await makeLayer("partition", [gptDisk()], { index: 3 });
  assert.equal(device.sizeBytes, 40 * 512);
  await assert.rejects(makeLayer("partition", [gptDisk()], { index: 2 }), {
    code: "INVALID_CONFIG",
    message: "stack names partition 2; there is 1, 3.",
  });
  await assert.rejects(makeLayer("partition", [new MemoryDevice({ sizeBytes: MIB })], { index: 1 }), {
    code: "INVALID_CONFIG",
    message: "stack cannot be found: the device has no partition table.",
  });
});

test("copies by token are shifted to the partition", async () => {
  const shelf = new TokenShelf();
  const below = tokenMemoryDevice(shelf, { sizeBytes: MIB, name: "disk" });
  await below.write(8192, pattern(4096, 3), 0);
  const { device } = await makeLayer("partition", [below], { offsetBytes: 4096 });
  await copyByTokens(device, device, { from: 4096, to: 65_536, lengthBytes: 4096 });
  assert.deepEqual(shelf.calls, ["read disk 8192+4096", "write disk 69632+4096"]);
  assert.deepEqual(await bytesAt(device, 65_536, 4096), pattern(4096, 3));
});
