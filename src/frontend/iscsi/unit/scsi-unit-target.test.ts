// The device server as initiators see it, on a device in memory, with one nexus or two.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SteppedClock } from "../../../../test/support/stepped-clock.ts";
import { RopewalkError } from "../../../base/errors.ts";
import { type Completion, MemoryDevice } from "../../../device/mod.ts";
import { encodeUnmapList, parseSense } from "../../../wire/iscsi/scsi/mod.ts";
import { type ScsiUnitOptions, ScsiUnitTarget } from "./mod.ts";
import { cdbOf, TestInitiator, testNexus } from "./testing/test-initiator.ts";

const BLOCK = 512;
const SIZE = 1024 * 1024;
const PORT = { name: "iqn.2026-11.io.ropewalk:vol0,t,0x0001", portalGroupTag: 1, relativePort: 1 };

function unitOptions(device: MemoryDevice, changes: Partial<ScsiUnitOptions> = {}): ScsiUnitOptions {
  return {
    device,
    blockBytes: BLOCK,
    identity: { name: "vol0", uuid: "6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0" },
    ports: [PORT],
    store: { load: async () => undefined, save: async () => undefined },
    clock: new SteppedClock({ jumps: true }),
    isWritable: true,
    trimReadsZeros: true,
    ...changes,
  };
}

async function bench(changes: Partial<ScsiUnitOptions> = {}, device = new MemoryDevice({ sizeBytes: SIZE })) {
  const target = new ScsiUnitTarget(unitOptions(device, changes));
  const first = await TestInitiator.ready(target, testNexus(1));
  const second = await TestInitiator.ready(target, testNexus(2));
  return { target, device, first, second };
}

function blocks(count: number, fill: number): Uint8Array {
  return new Uint8Array(count * BLOCK).fill(fill);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A device whose next request fails. */
class FailingDevice extends MemoryDevice {
  failure: RopewalkError | undefined;

  override write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.failure ? Promise.reject(this.failure) : super.write(offset, source, flags);
  }
}

test("a new nexus is told once that the unit was powered on", async () => {
  const target = new ScsiUnitTarget(unitOptions(new MemoryDevice({ sizeBytes: SIZE })));
  const initiator = new TestInitiator(target, testNexus(1));
  assert.equal((await initiator.send("12 00 00 00 ff")).status, 0, "INQUIRY does not tell it");
  assert.equal((await initiator.send("00")).sense, "06/29/00");
  assert.equal((await initiator.send("00")).status, 0);
});

test("what one nexus wrote the other reads", async () => {
  const { first, second } = await bench();
  assert.equal((await first.send("2a 00 00000003 00 0002", blocks(2, 7))).status, 0);
  const read = await second.send("88 00 0000000000000003 00000002");
  assert.deepEqual(read.data, blocks(2, 7));
});

test("a range past the end is refused with the first block that is not there", async () => {
  const { first } = await bench();
  const read = await first.send("28 00 000007ff 00 0002");
  assert.equal(read.sense, "05/21/00");
  assert.equal(parseSense(read.reply.sense!)!.information, SIZE / BLOCK);
  assert.equal((await first.send("28 00 00000800 00 0000")).status, 0, "nothing at the very end is no error");
});

test("a CDB of less than 16 bytes is filled up, and the command's signal not made before its time", async () => {
  const { target } = await bench();
  let asked = 0;
  const command = {
    nexus: testNexus(1),
    lun: 0,
    cdb: cdbOf("28 00 00000000 00 0001").subarray(0, 10),
    dataOut: new Uint8Array(0),
    dataInBytesMax: BLOCK,
    get signal() {
      asked++;
      return AbortSignal.abort();
    },
  };
  assert.deepEqual((await target.execute(command)).dataIn, blocks(1, 0));
  assert.equal(asked, 0);
});

test("reserved bits of a CDB are refused, with the place", async () => {
  const { first } = await bench();
  const read = await first.send("28 20 00000000 00 0001");
  assert.equal(read.sense, "05/24/00");
  assert.deepEqual(parseSense(read.reply.sense!)!.fieldPointer, { byte: 1, bit: 5 });
});

test("COMPARE AND WRITE changes all or, at a difference, nothing", async () => {
  const { first, second } = await bench();
  await first.send("2a 00 00000000 00 0001", blocks(1, 1));
  const wrong = blocks(2, 1);
  wrong[100] = 9;
  const refused = await second.send("89 00 0000000000000000 000000 01", wrong);
  assert.equal(refused.sense, "0e/1d/00");
  assert.equal(parseSense(refused.reply.sense!)!.information, 100);
  const right = Buffer.concat([blocks(1, 1), blocks(1, 2)]);
  assert.equal((await second.send("89 00 0000000000000000 000000 01", right)).status, 0);
  assert.deepEqual((await first.send("28 00 00000000 00 0001")).data, blocks(1, 2));
});

test("of many initiators that compare and write the same, one succeeds", async () => {
  const { first, second } = await bench();
  const attempts = Array.from({ length: 8 }, (_, index) =>
    (index % 2 === 0 ? first : second).send(
      "89 00 0000000000000000 000000 01",
      Buffer.concat([blocks(1, 0), blocks(1, index + 1)]),
    ),
  );
  const statuses = (await Promise.all(attempts)).map(({ status }) => status);
  assert.deepEqual(statuses, [0, 2, 2, 2, 2, 2, 2, 2]);
});

test("ORWRITE sets bits and clears none", async () => {
  const { first } = await bench();
  await first.send("2a 00 00000000 00 0001", blocks(1, 0xa0));
  await first.send("8b 00 0000000000000000 00000001", blocks(1, 0x05));
  assert.deepEqual((await first.send("28 00 00000000 00 0001")).data, blocks(1, 0xa5));
});

test("VERIFY compares with data, with one block repeated, or only reads", async () => {
  const { first } = await bench();
  await first.send("2a 00 00000000 00 0004", blocks(4, 3));
  assert.equal((await first.send("2f 02 00000000 00 0004", blocks(4, 3))).status, 0);
  assert.equal((await first.send("2f 06 00000000 00 0004", blocks(1, 3))).status, 0);
  assert.equal((await first.send("2f 00 00000000 00 0004")).status, 0);
  assert.equal((await first.send("2f 02 00000000 00 0004", blocks(4, 4))).sense, "0e/1d/00");
});

test("WRITE SAME repeats a block, and with UNMAP gives zeros back", async () => {
  const { first, device } = await bench();
  await first.send("93 00 0000000000000000 00000010", blocks(1, 5));
  assert.deepEqual((await first.send("28 00 00000000 00 0010")).data, blocks(16, 5));
  assert.equal(device.allocatedPages, 2);
  await first.send("93 09 0000000000000000 00000010");
  assert.equal(device.allocatedPages, 0);
  assert.deepEqual((await first.send("28 00 00000000 00 0010")).data, blocks(16, 0));
});

test("UNMAP gives ranges back, and GET LBA STATUS tells which", async () => {
  const { first } = await bench();
  await first.send("2a 00 00000000 00 0020", blocks(32, 5));
  const list = encodeUnmapList([{ lba: 8, blocks: 8 }]);
  assert.equal((await first.send("42 00 00 00 00 00 00 0018 00", list)).status, 0);
  const status = await first.send("9e 12 0000000000000000 00000058");
  const descriptors = [0, 1, 2, 3].map((index) => hex(status.data.subarray(8 + 16 * index, 24 + 16 * index)));
  assert.deepEqual(descriptors, [
    "0000000000000000" + "00000008" + "00000000",
    "0000000000000008" + "00000008" + "01000000",
    "0000000000000010" + "00000010" + "00000000",
    "0000000000000020" + "000007e0" + "01000000",
  ]);
});

test("a unit that is not writable says so, and reads on", async () => {
  const { first } = await bench({ isWritable: false });
  assert.equal((await first.send("2a 00 00000000 00 0001", blocks(1, 1))).sense, "07/27/00");
  assert.equal((await first.send("28 00 00000000 00 0001")).status, 0);
  assert.equal((await first.send("1a 00 3f 00 ff")).data[2]! & 0x80, 0x80);
});

test("MODE SELECT sets software write protection, and the other nexus is told", async () => {
  const { first, second } = await bench();
  const page = (await first.send("1a 08 0a 00 ff")).data.slice(4);
  page[4]! |= 0x08;
  const list = Buffer.concat([new Uint8Array(4), page]);
  assert.equal((await first.send("15 10 00 00 10 00", list)).status, 0);
  assert.equal((await second.send("00")).sense, "06/2a/01");
  assert.equal((await second.send("2a 00 00000000 00 0001", blocks(1, 1))).sense, "07/27/02");
});

test("MODE SELECT of a bit that cannot be changed changes nothing", async () => {
  const { first } = await bench();
  const page = (await first.send("1a 08 0a 00 ff")).data.slice(4);
  page[4]! |= 0x08;
  page[5]! |= 0x40;
  const refused = await first.send("15 10 00 00 10 00", Buffer.concat([new Uint8Array(4), page]));
  assert.equal(refused.sense, "05/26/00");
  assert.equal((await first.send("2a 00 00000000 00 0001", blocks(1, 1))).status, 0);
});

test("sense data is in the descriptor format once the control page asks for it", async () => {
  const { first } = await bench();
  const page = (await first.send("1a 08 0a 00 ff")).data.slice(4);
  page[2]! |= 0x04;
  await first.send("15 10 00 00 10 00", Buffer.concat([new Uint8Array(4), page]));
  const read = await first.send("88 00 0000000100000000 00000001");
  assert.equal(read.reply.sense![0], 0x72);
  assert.equal(parseSense(read.reply.sense!)!.information, 0x1_0000_0000);
});

test("a device that is full is told as a thin unit tells it", async () => {
  const device = new FailingDevice({ sizeBytes: SIZE });
  const { first } = await bench({}, device);
  device.failure = new RopewalkError("NO_SPACE", "The pool is full.");
  assert.equal((await first.send("2a 00 00000000 00 0001", blocks(1, 1))).sense, "07/27/07");
});

test("a new size is told to every nexus once", async () => {
  const { first, second, device } = await bench();
  device.resize(2 * SIZE);
  assert.equal((await first.send("00")).sense, "06/2a/09");
  assert.equal((await second.send("00")).sense, "06/2a/09");
  assert.equal((await first.send("25")).data[2], 0x0f);
});

test("SANITIZE OVERWRITE runs behind its answer, and the unit is not ready meanwhile", async () => {
  const clock = new SteppedClock();
  const { first, second } = await bench({ clock, sanitizeBytesPerSecond: SIZE });
  const list = Uint8Array.of(1, 0, 0, 4, 1, 2, 3, 4);
  assert.equal((await first.send("48 81 00 00 00 00 00 0008 00", list)).status, 0);
  assert.equal((await second.send("00")).sense, "02/04/1b");
  assert.equal((await second.send("28 00 00000000 00 0001")).sense, "02/04/1b");
  assert.equal((await second.send("12 00 00 00 ff")).status, 0);
  assert.equal((await second.send("48 82 00 00 00 00 00 0000 00")).sense, "02/04/1b");
  await clock.step(2000);
  const read = await second.send("28 00 00000000 00 0001");
  assert.deepEqual(read.data.subarray(0, 8), Uint8Array.of(1, 2, 3, 4, 1, 2, 3, 4));
});

test("SANITIZE goes on when its task is aborted, and a reset does not wait for it", async () => {
  const clock = new SteppedClock();
  const { target, first, second } = await bench({ clock, sanitizeBytesPerSecond: SIZE });
  const answer = first.send("48 01 00 00 00 00 00 0005 00", Uint8Array.of(1, 0, 0, 1, 9));
  first.abort();
  assert.equal((await answer).status, 0x40);
  await target.reset(second.nexus, 0);
  await second.send("00");
  assert.equal((await second.send("00")).sense, "02/04/1b");
  await clock.step(2000);
  assert.deepEqual((await second.send("28 00 00000000 00 0001")).data, blocks(1, 9));
});

test("SANITIZE rests while nobody is logged in and the device is closed, and goes on after", async () => {
  const device = new FailingDevice({ sizeBytes: SIZE });
  const { target, first, second } = await bench({}, device);
  device.failure = new RopewalkError("SHUTTING_DOWN", "Nobody uses the device.");
  await first.send("48 81 00 00 00 00 00 0005 00", Uint8Array.of(1, 0, 0, 1, 9));
  first.leave();
  second.leave();
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  device.failure = undefined;
  const third = new TestInitiator(target, testNexus(3));
  await third.send("00");
  assert.equal((await third.send("00")).sense, "02/04/1b");
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual((await third.send("28 00 00000000 00 0001")).data, blocks(1, 9));
});

test("a SANITIZE that failed keeps the medium out of reach until failure mode is exited", async () => {
  const device = new FailingDevice({ sizeBytes: SIZE });
  const { first } = await bench({}, device);
  device.failure = new RopewalkError("IO_ERROR", "The disk failed.");
  const list = Uint8Array.of(1, 0, 0, 1, 0xff);
  assert.equal((await first.send("48 21 00 00 00 00 00 0005 00", list)).sense, "04/44/00");
  assert.equal((await first.send("28 00 00000000 00 0001")).sense, "03/31/03");
  device.failure = undefined;
  assert.equal((await first.send("48 1f 00 00 00 00 00 0000 00")).status, 0);
  assert.equal((await first.send("28 00 00000000 00 0001")).status, 0);
});

test("a reset ends RESERVE and mode parameters, and is told to all", async () => {
  const { target, first, second } = await bench();
  assert.equal((await first.send("16")).status, 0);
  assert.equal((await second.send("00")).status, 0x18);
  await target.reset(second.nexus, 0);
  assert.equal((await first.send("00")).sense, "06/29/03");
  assert.equal((await second.send("00")).sense, "06/29/03");
  assert.equal((await second.send("2a 00 00000000 00 0001", blocks(1, 1))).status, 0);
});

test("a LUN without a unit answers INQUIRY and REPORT LUNS, and nothing else", async () => {
  const { first } = await bench();
  const none = new Uint8Array(0);
  for (const lun of [1, 300, undefined]) {
    const initiator = { send: (cdb: string) => first.send(cdb, none, lun) };
    if (lun === undefined) continue;
    assert.equal((await initiator.send("12 00 00 00 ff")).data[0], 0x7f);
    assert.equal((await initiator.send("a0 00 00 00 00 00 00000100")).data[3], 8);
    assert.equal((await initiator.send("00")).sense, "05/25/00");
  }
});

test("every command that is reported as supported is one, with the CDB's length that its opcode has", async () => {
  const { first } = await bench();
  const report = (await first.send("a3 0c 00 00 0000 00010000")).data;
  assert.equal(report.length, 4 + new DataView(report.buffer, report.byteOffset).getUint32(0));
  for (let at = 4; at < report.length; at += 8) {
    const opcode = hex(report.subarray(at, at + 1));
    const hasAction = (report[at + 5]! & 1) !== 0;
    const action = hex(report.subarray(at + 2, at + 4));
    const one = (await first.send(`a3 0c ${hasAction ? "02" : "01"} ${opcode} ${action} 00001000`)).data;
    assert.equal(one[1]! & 7, 3, `opcode ${opcode}`);
    assert.equal(one[3], report[at + 7]);
    assert.equal(hex(one.subarray(4, 5)), opcode);
  }
});

test("whatever the bytes of a command are, it gets a reply", async () => {
  const { target, first } = await bench();
  const report = (await first.send("a3 0c 00 00 0000 00010000")).data;
  const opcodes = Array.from({ length: (report.length - 4) / 8 }, (_, index) => report[4 + 8 * index]!);
  const anyCdb = fc.uint8Array({ minLength: 0, maxLength: 32 });
  const knownCdb = fc
    .tuple(fc.constantFrom(...opcodes), fc.uint8Array({ minLength: 15, maxLength: 15 }))
    .map(([opcode, rest]) => Uint8Array.of(opcode, ...rest));
  const mildCdb = fc
    .tuple(
      fc.constantFrom(...opcodes),
      fc.array(fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 8, 255), { minLength: 15, maxLength: 15 }),
    )
    .map(([opcode, rest]) => Uint8Array.of(opcode, ...rest));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(anyCdb, knownCdb, mildCdb),
      fc.uint8Array({ maxLength: 2000 }),
      fc.constantFrom(0, 0, 0, 1, undefined),
      async (cdb, dataOut, lun) => {
        const wanted = target.dataOutBytes(lun, cdb);
        assert.ok(
          Number.isSafeInteger(wanted) && wanted >= 0 && wanted <= 64 * 1024 * 1024,
          `${wanted} bytes wanted`,
        );
        const { status, reply } = await first.send(cdb, dataOut, lun);
        assert.ok([0, 2, 0x18].includes(status), `status ${status}`);
        assert.equal(status === 2, reply.sense !== undefined);
      },
    ),
    { numRuns: 400 },
  );
});

test("whatever the bytes of a parameter list are, its command gets a reply and the unit works on", async () => {
  const { first } = await bench();
  const cdbs = [
    ...["42 00 00 00 00 00 00 LLLL 00", "55 10 00 00 00 00 00 LLLL 00", "55 11 00 00 00 00 00 LLLL 00"],
    ...["5f 00 00 00 00 00 00 LLLL 00", "5f 01 03 00 00 00 00 LLLL 00", "5f 06 00 00 00 00 00 LLLL 00"],
    ...["5f 07 00 00 00 00 00 LLLL 00", "48 01 00 00 00 00 00 LLLL 00", "1d 00 00 LLLL 00"],
  ];
  const byte = fc.oneof(fc.constantFrom(0, 0, 0, 1, 2, 8, 0x0a, 24, 255), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...cdbs),
      fc.array(byte, { maxLength: 64 }),
      fc.integer({ min: -2, max: 2 }),
      async (cdb, bytes, more) => {
        const length = Math.max(0, bytes.length + more);
        const sent = cdb.replace("LLLL", length.toString(16).padStart(4, "0"));
        const { status, sense } = await first.send(sent, Uint8Array.from(bytes));
        assert.ok([0, 2, 0x18].includes(status), `status ${status}`);
        assert.equal(status === 2, sense.length > 0);
      },
    ),
    { numRuns: 400 },
  );
  assert.equal((await first.send("12 00 00 00 ff")).status, 0);
});

test("a CDB that is shorter than its command is taken as if zeros followed", async () => {
  const { first } = await bench();
  assert.equal((await first.send(Uint8Array.of(0x28))).status, 0);
  assert.equal((await first.send(new Uint8Array(0))).status, 0);
  assert.equal((await first.send(cdbOf("ff"))).sense, "05/20/00");
});
