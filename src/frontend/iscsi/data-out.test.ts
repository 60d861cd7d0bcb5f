import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  dataInPdu,
  dataOutPdu,
  NO_TAG,
  nopOutPdu,
  RejectReason,
  readyToTransferPdu,
  rejectPdu,
  scsiResponsePdu,
  TaskFunction,
  taskManagementRequestPdu,
  taskManagementResponsePdu,
} from "../../wire/iscsi/mod.ts";
import { type IscsiLimits, IscsiServer } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  OneTarget,
  read10,
  settled,
  write10,
} from "./testing/direct-session.ts";

const KIBIBYTE = 1024;
const SOLICITED = { InitialR2T: "Yes", ImmediateData: "No" };
const UNSOLICITED = { InitialR2T: "No", ImmediateData: "Yes" };

async function begin(keys: Record<string, string> = {}, limits: Partial<IscsiLimits> = {}) {
  const targets = new OneTarget();
  const clock = new SteppedClock();
  const reports: string[] = [];
  const server = new IscsiServer({
    targets,
    clock,
    random: countingRandom,
    limits,
    report: (_peer, sentence) => reports.push(sentence),
  });
  const session = new DirectSession(server);
  await session.login(keys);
  return { disk: targets.scsi, clock, server, session, reports };
}

function pattern(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) + seed) & 255));
}

async function write(session: DirectSession, bytes: number, fields: object = {}, data?: Uint8Array) {
  return await session.command(
    write10(0, bytes / 512),
    { write: true, expectedBytes: bytes, ...fields },
    data,
  );
}

/** Sends one Data-Out PDU. */
async function dataOut(session: DirectSession, tag: number, fields: object, data: Uint8Array): Promise<void> {
  const usual = { initiatorTaskTag: tag, targetTransferTag: NO_TAG, final: true };
  await session.send(dataOutPdu, { ...usual, ...fields }, data);
}

/** Answers R2Ts until the command is answered; returns its status. */
async function answerRequests(session: DirectSession, tag: number, data: Buffer, segmentBytes: number) {
  for (let bursts = 0; bursts < 1000; bursts++) {
    for (let turns = 0; turns < 50 && session.received.length === 0; turns++) await settled();
    if (session.received[0]?.pdu.opcode !== readyToTransferPdu.opcode) break;
    const { pdu } = await session.next(readyToTransferPdu);
    for (let sent = 0, dataNumber = 0; sent < pdu.desiredBytes; dataNumber++) {
      const length = Math.min(segmentBytes, pdu.desiredBytes - sent);
      const bufferOffset = pdu.bufferOffset + sent;
      sent += length;
      const { targetTransferTag } = pdu;
      const final = sent === pdu.desiredBytes;
      const piece = data.subarray(bufferOffset, bufferOffset + length);
      await dataOut(session, tag, { targetTransferTag, dataNumber, bufferOffset, final }, piece);
    }
  }
  return (await session.next(scsiResponsePdu)).pdu.status;
}

test("data is asked for in bursts, as many at a time as was negotiated", async () => {
  const keys = { ...SOLICITED, MaxBurstLength: "4096", MaxOutstandingR2T: "2" };
  const { session, disk, server } = await begin(keys);
  const data = pattern(10 * KIBIBYTE);
  const tag = await write(session, data.length);
  assert.equal(session.received.length, 2);
  const [first, second] = session.received.map(
    ({ pdu }) => pdu as { bufferOffset: number; desiredBytes: number },
  );
  assert.deepEqual([first!.bufferOffset, first!.desiredBytes], [0, 4096]);
  assert.deepEqual([second!.bufferOffset, second!.desiredBytes], [4096, 4096]);
  assert.equal(await answerRequests(session, tag, data, 1000), 0);
  assert.deepEqual(disk.bytes.subarray(0, data.length), data);
  assert.equal(server.counters.bytesWritten, data.length);
});

test("immediate, unsolicited and solicited data follow one another", async () => {
  const keys = { ...UNSOLICITED, FirstBurstLength: "2048", MaxBurstLength: "4096" };
  const { session, disk } = await begin(keys);
  const data = pattern(8 * KIBIBYTE);
  const tag = await write(session, data.length, { final: false }, data.subarray(0, 1000));
  await dataOut(session, tag, { bufferOffset: 1000, final: false }, data.subarray(1000, 1500));
  assert.equal(session.received.length, 0);
  await dataOut(session, tag, { bufferOffset: 1500, dataNumber: 1 }, data.subarray(1500, 2048));
  assert.equal(await answerRequests(session, tag, data, 4096), 0);
  assert.deepEqual(disk.bytes.subarray(0, data.length), data);
});

test("writes of every shape arrive as they were sent, however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 0, max: 70_000 }),
      fc.integer({ min: 512, max: 100_000 }),
      fc.integer({ min: 1, max: 50_000 }),
      fc.boolean(),
      async (blocks, immediateBytes, segmentBytes, pieceBytes, withDigests) => {
        const digests = withDigests ? { HeaderDigest: "CRC32C", DataDigest: "CRC32C" } : {};
        const keys = { ...UNSOLICITED, ...digests, FirstBurstLength: "70000", MaxBurstLength: "100000" };
        const { session, disk, server } = await begin(keys);
        const feed = session.feed.bind(session);
        session.feed = (bytes) => feed(bytes, pieceBytes);
        const data = pattern(blocks * 512, blocks);
        const immediate = data.subarray(0, Math.min(immediateBytes, data.length));
        const tag = await write(session, data.length, {}, immediate);
        assert.equal(await answerRequests(session, tag, data, segmentBytes), 0);
        assert.equal(disk.bytes.compare(data, 0, data.length, 0, data.length), 0);
        session.destroy();
        await settled();
        assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
      },
    ),
    { numRuns: 40 },
  );
});

for (const [what, keys, send] of [
  ["that was not negotiated as immediate", SOLICITED, (s: DirectSession) => write(s, 1024, {}, pattern(512))],
  [
    "that was not negotiated as unsolicited",
    SOLICITED,
    (s: DirectSession) => write(s, 1024, { final: false }),
  ],
  [
    "beyond the first burst",
    { ...UNSOLICITED, FirstBurstLength: "512" },
    (s: DirectSession) => write(s, 1024, {}, pattern(1024)),
  ],
  ["beyond what was announced", UNSOLICITED, (s: DirectSession) => write(s, 512, {}, pattern(1024))],
] as const) {
  test(`data ${what} ends the connection`, async () => {
    const { session, disk } = await begin(keys);
    await send(session);
    assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.protocolError);
    assert.deepEqual([session.isClosed, disk.executed.length], [true, 0]);
  });
}

for (const [what, change] of [
  ["at a wrong offset", { bufferOffset: 512 }],
  ["for a transfer that nobody asked for", { targetTransferTag: 999 }],
  ["unsolicited", { targetTransferTag: NO_TAG }],
  ["that ends too late", { final: false }],
] as const) {
  test(`data-out ${what} ends the connection`, async () => {
    const { session, disk } = await begin(SOLICITED);
    const tag = await write(session, 1024);
    const { pdu } = await session.next(readyToTransferPdu);
    await dataOut(session, tag, { targetTransferTag: pdu.targetTransferTag, ...change }, pattern(1024));
    assert.deepEqual([session.isClosed, disk.executed.length], [true, 0]);
  });
}

for (const [what, numbers] of [
  ["twice the same number", [0, 0]],
  ["numbers in the wrong order", [1, 0]],
  ["a number far ahead", [27, 28]],
  ["the highest number", [0xffffffff, 0]],
] as const) {
  test(`data-out with ${what} fails its command as damaged, and the session goes on`, async () => {
    const { session, disk } = await begin(SOLICITED);
    const tag = await write(session, 1024);
    const { targetTransferTag } = (await session.next(readyToTransferPdu)).pdu;
    const [first, second] = numbers;
    const data = pattern(1024);
    await dataOut(
      session,
      tag,
      { targetTransferTag, dataNumber: first, final: false },
      data.subarray(0, 512),
    );
    assert.equal(session.received.length, 0);
    const rest = { targetTransferTag, dataNumber: second, bufferOffset: 512 };
    await dataOut(session, tag, rest, data.subarray(512));
    const { pdu, data: sense } = await session.next(scsiResponsePdu);
    assert.deepEqual([pdu.status, sense[2 + 12], sense[2 + 13]], [0x02, 0x47, 0x05]);
    assert.equal(disk.executed.length, 0);
    assert.equal(await answerRequests(session, await write(session, 1024), data, 512), 0);
    assert.deepEqual(disk.bytes.subarray(0, 1024), data);
  });
}

test("a burst that ends too early ends the connection", async () => {
  const { session } = await begin(SOLICITED);
  const tag = await write(session, 1024);
  const { pdu } = await session.next(readyToTransferPdu);
  await dataOut(session, tag, { targetTransferTag: pdu.targetTransferTag }, pattern(512));
  assert.equal(session.isClosed, true);
});

test("a segment longer than announced ends the connection", async () => {
  const { session } = await begin({}, { dataSegmentBytesMax: 1024 });
  await session.send(nopOutPdu, { immediate: true, initiatorTaskTag: 1 }, Buffer.alloc(1028));
  assert.equal(session.isClosed, true);
});

test("data for a task that is gone is dropped, and the session goes on", async () => {
  const { session, disk } = await begin(SOLICITED);
  const tag = await write(session, 64 * KIBIBYTE);
  const { pdu } = await session.next(readyToTransferPdu);
  await session.send(taskManagementRequestPdu, {
    immediate: true,
    function: TaskFunction.abortTask,
    referencedTaskTag: tag,
  });
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 0);
  await dataOut(session, tag, { targetTransferTag: pdu.targetTransferTag }, pattern(64 * KIBIBYTE));
  await session.command([0]);
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 0);
  assert.equal(disk.executed.length, 1);
});

test("a connection that breaks off in the middle of a segment gives all memory back", async () => {
  const { session, server } = await begin(SOLICITED);
  const tag = await write(session, 128 * KIBIBYTE);
  const { pdu } = await session.next(readyToTransferPdu);
  const fields = { initiatorTaskTag: tag, targetTransferTag: pdu.targetTransferTag, final: false };
  const bytes = session.encode(dataOutPdu, fields, pattern(64 * KIBIBYTE));
  await session.feed(bytes.subarray(0, 40_000));
  session.destroy();
  await settled();
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});

test("data-out that stalls ends the connection", async () => {
  const { session, clock, reports } = await begin(SOLICITED);
  await write(session, 1024);
  await clock.step(28_000);
  assert.equal(session.isClosed, false);
  await clock.step(6_000);
  assert.equal(session.isClosed, true);
  assert.match(reports.join(), /data-out did not arrive/);
});

test("the rest of a PDU that stalls ends the connection", async () => {
  const { session, clock, reports } = await begin();
  await session.feed(Buffer.alloc(20));
  await clock.step(36_000);
  assert.equal(session.isClosed, true);
  assert.match(reports.join(), /rest of a PDU/);
});

test("a request that is missing for long ends the connection", async () => {
  const { session, clock, reports } = await begin();
  await session.command([0], { commandNumber: 101 });
  await clock.step(36_000);
  assert.equal(session.isClosed, true);
  assert.match(reports.join(), /missing in the order/);
});

const SMALL = {
  commandBytesMax: 8 * KIBIBYTE,
  connectionBytesMax: 8 * KIBIBYTE,
  totalBytesMax: 8 * KIBIBYTE,
  waitingBytesMax: 2 * KIBIBYTE,
};

test("a command asks for its data only when there is memory for it", async () => {
  const { session, server } = await begin(SOLICITED, SMALL);
  const data = pattern(8 * KIBIBYTE);
  const first = await write(session, data.length);
  const second = await write(session, data.length);
  const { pdu } = await session.next(readyToTransferPdu);
  assert.deepEqual([pdu.initiatorTaskTag, session.received.length], [first, 0]);
  assert.equal(server.memory.inWorkBytes, 8 * KIBIBYTE);
  const { targetTransferTag } = pdu;
  await dataOut(session, first, { targetTransferTag }, data);
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 0);
  assert.equal(await answerRequests(session, second, data, 8192), 0);
});

test("unsolicited data that finds no memory waits, then the command is told to come again", async () => {
  const { session, disk } = await begin({ ...UNSOLICITED, FirstBurstLength: "2048" }, SMALL);
  const data = pattern(8 * KIBIBYTE, 3);
  const first = await write(session, data.length);
  await session
    .next(readyToTransferPdu)
    .then(({ pdu }) => session.received.push({ pdu, data: Buffer.alloc(0) }));
  const second = await write(session, data.length, {}, data.subarray(0, 2048));
  const third = await write(session, data.length, {}, data.subarray(0, 2048));
  const full = session.received.pop()!.pdu as { status: number; initiatorTaskTag: number };
  assert.deepEqual([full.status, full.initiatorTaskTag], [0x28, third]);
  assert.equal(await answerRequests(session, first, Buffer.alloc(8 * KIBIBYTE), 8192), 0);
  assert.equal(await answerRequests(session, second, data, 8192), 0);
  assert.deepEqual(disk.bytes.subarray(0, data.length), data);
});

test("a command with more data than the limit ends in a check condition", async () => {
  const { session } = await begin(SOLICITED, SMALL);
  await write(session, 16 * KIBIBYTE);
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 2);
});

test("reads wait for memory while the initiator takes no answers, and come when it does", async () => {
  const { session, disk } = await begin({}, SMALL);
  session.isStuck = true;
  const fields = { read: true, expectedBytes: 8 * KIBIBYTE };
  await session.command(read10(0, 16), fields);
  await session.command(read10(0, 16), fields);
  await settled();
  assert.equal(disk.executed.length, 1);
  session.drain();
  await settled();
  assert.equal(disk.executed.length, 2);
  await session.next(dataInPdu);
  await session.next(dataInPdu);
});

test("a connection whose answers nobody takes is read no further, and closed as one that does not answer", async () => {
  const { session, clock } = await begin({}, { ...SMALL, replyBytesMax: 1024 });
  session.isStuck = true;
  const ping = session.encode(nopOutPdu, { immediate: true, initiatorTaskTag: 1 }, pattern(600));
  await session.feed(Buffer.concat([ping, ping]));
  assert.equal(session.isPaused, true);
  await clock.step(40_000);
  assert.equal(session.isClosed, false);
  await clock.step(25_000);
  assert.equal(session.isClosed, true);
});
