import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  AsyncEvent,
  asyncMessagePdu,
  dataInPdu,
  dataOutPdu,
  encodeAdditionalHeaders,
  loginRequestPdu,
  logoutRequestPdu,
  logoutResponsePdu,
  NO_TAG,
  nopInPdu,
  nopOutPdu,
  RejectReason,
  rejectPdu,
  scsiCommandPdu,
  scsiResponsePdu,
  snackRequestPdu,
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

const READ = { read: true };

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
  return { targets, disk: targets.scsi, clock, server, session, reports };
}

test("a read is split by what the initiator takes and by bursts, with its status in the last piece", async () => {
  const { session, disk } = await begin({ MaxRecvDataSegmentLength: "1024", MaxBurstLength: "2048" });
  disk.bytes.fill(7, 0, 5 * 512);
  const tag = await session.command(read10(0, 5), { ...READ, expectedBytes: 5 * 512 });
  const pieces = [];
  for (let index = 0; index < 3; index++) pieces.push(await session.next(dataInPdu));
  assert.deepEqual(
    pieces.map(({ pdu, data }) => [pdu.bufferOffset, data.length, pdu.dataNumber, pdu.final, pdu.hasStatus]),
    [
      [0, 1024, 0, false, false],
      [1024, 1024, 1, true, false],
      [2048, 512, 2, true, true],
    ],
  );
  assert.equal(
    pieces.every(({ pdu, data }) => pdu.initiatorTaskTag === tag && data.every((byte) => byte === 7)),
    true,
  );
  assert.deepEqual([session.received.length, pieces[2]!.pdu.residualBytes], [0, 0]);
});

test("what was expected and did not come, and what came unexpected, is the residual", async () => {
  const { session } = await begin();
  await session.command(read10(0, 1), { ...READ, expectedBytes: 1000 });
  const under = await session.next(dataInPdu);
  assert.deepEqual([under.pdu.underflow, under.pdu.overflow, under.pdu.residualBytes], [true, false, 488]);
  await session.command(read10(0, 2), { ...READ, expectedBytes: 1000 });
  const over = await session.next(dataInPdu);
  assert.deepEqual([over.pdu.overflow, over.data.length, over.pdu.residualBytes], [true, 1000, 24]);
  await session.command(write10(0, 1), { write: true, expectedBytes: 1024 }, Buffer.alloc(1024));
  const write = await session.next(scsiResponsePdu);
  assert.deepEqual([write.pdu.status, write.pdu.underflow, write.pdu.residualBytes], [0, true, 512]);
});

test("a check condition comes with its sense behind its length", async () => {
  const { session } = await begin();
  await session.command([0xff], {});
  const { pdu, data } = await session.next(scsiResponsePdu);
  assert.equal(pdu.status, 2);
  assert.equal(data.readUInt16BE(0), 18);
  assert.deepEqual([data[4], data[14]], [5, 0x20]);
});

test("status numbers count answers, and the command window moves with what was answered", async () => {
  const { session } = await begin({}, { commandsMax: 4 });
  let statusNumber: number | undefined;
  for (let index = 0; index < 6; index++) {
    await session.command([0]);
    const { pdu } = await session.next(scsiResponsePdu);
    if (statusNumber !== undefined) assert.equal(pdu.statusNumber, statusNumber + 1);
    statusNumber = pdu.statusNumber;
    assert.equal(pdu.expectedCommandNumber, session.commandNumber);
    assert.equal(pdu.commandNumberMax, session.commandNumber + 3);
  }
});

test("commands outside the window are ignored", async () => {
  const { session, disk } = await begin({}, { commandsMax: 4 });
  await session.command([0], { commandNumber: 99 });
  await session.command([0], { commandNumber: 104 });
  await settled();
  assert.deepEqual([session.received.length, disk.executed.length], [0, 0]);
});

test("commands come to the device server in the order of their numbers", async () => {
  const { session, disk } = await begin();
  await session.command([0, 2], { commandNumber: 101 });
  await session.command([0, 3], { commandNumber: 102 });
  assert.equal(disk.executed.length, 0);
  await session.command([0, 1], { commandNumber: 100 });
  assert.deepEqual(
    disk.executed.map(({ cdb }) => cdb[1]),
    [1, 2, 3],
  );
});

test("an immediate command is taken at once and moves no number", async () => {
  const { session } = await begin();
  await session.command([0], { immediate: true });
  const { pdu } = await session.next(scsiResponsePdu);
  assert.equal(pdu.expectedCommandNumber, 100);
});

test("an ordered command waits for those before it and holds up those behind it", async () => {
  const { session, disk } = await begin();
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await session.command([0, 1]);
  await session.command([0, 2], { attribute: 2 });
  await session.command([0, 3]);
  assert.deepEqual(
    disk.executed.map(({ cdb }) => cdb[1]),
    [1],
  );
  await session.command([0, 4], { attribute: 3 });
  disk.gate = undefined;
  gate.resolve();
  await settled();
  assert.deepEqual(
    disk.executed.map(({ cdb }) => cdb[1]),
    [1, 4, 2, 3],
  );
  assert.equal(session.received.length, 4);
});

test("a long CDB arrives whole", async () => {
  const { session, disk } = await begin();
  const headers = encodeAdditionalHeaders({ extendedCdb: Uint8Array.of(17, 18, 19), readBytes: undefined });
  const pdu = session.encode(scsiCommandPdu, {
    final: true,
    commandNumber: session.commandNumber++,
    cdb: new Uint8Array(16).fill(0x7f),
    additionalHeaderBytes: headers.length,
  });
  await session.feed(Buffer.concat([pdu, headers]));
  assert.deepEqual([...disk.executed[0]!.cdb.subarray(15)], [0x7f, 17, 18, 19]);
});

test("a ping is answered with its data, as far as the initiator takes it", async () => {
  const { session } = await begin({ MaxRecvDataSegmentLength: "512" });
  const data = Buffer.alloc(700, 3);
  await session.send(nopOutPdu, { immediate: true, initiatorTaskTag: 9, targetTransferTag: NO_TAG }, data);
  // What comes next may stand in the same memory.
  await session.send(nopOutPdu, { immediate: true, initiatorTaskTag: NO_TAG }, Buffer.alloc(700, 4));
  const answer = await session.next(nopInPdu);
  assert.deepEqual([answer.pdu.initiatorTaskTag, answer.pdu.targetTransferTag], [9, NO_TAG]);
  assert.deepEqual(answer.data, data.subarray(0, 512));
  assert.equal(session.received.length, 0);
});

test("a silent initiator is pinged, and closed when it does not answer", async () => {
  const { session, clock } = await begin();
  await clock.step(33_000);
  const ping = await session.next(nopInPdu);
  assert.equal(ping.pdu.initiatorTaskTag, NO_TAG);
  await session.send(nopOutPdu, {
    immediate: true,
    initiatorTaskTag: NO_TAG,
    targetTransferTag: ping.pdu.targetTransferTag,
  });
  await clock.step(33_000);
  await session.next(nopInPdu);
  assert.equal(session.isClosed, false);
  await clock.step(31_000);
  assert.equal(session.isClosed, true);
});

test("SNACK and opcodes that nobody has are rejected with their header", async () => {
  const { session } = await begin();
  await session.send(snackRequestPdu, { initiatorTaskTag: 0x1234 });
  const snack = await session.next(rejectPdu);
  assert.equal(snack.pdu.reason, RejectReason.snackReject);
  assert.equal(snack.data.length, 48);
  assert.equal(snack.data.readUInt32BE(16), 0x1234);
  const unknown = Buffer.alloc(48 + 8);
  unknown[0] = 0x1c;
  unknown[7] = 5;
  await session.feed(unknown);
  const { pdu } = await session.next(rejectPdu);
  assert.equal(pdu.reason, RejectReason.commandNotSupported);
});

test("a login request in the full feature phase ends the connection", async () => {
  const { session } = await begin();
  await session.send(loginRequestPdu, { immediate: true });
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.protocolError);
  assert.equal(session.isClosed, true);
});

test("a tag that is in use is rejected", async () => {
  const { session, disk } = await begin();
  disk.gate = new Promise(() => {});
  await session.command([0], { initiatorTaskTag: 7 });
  await session.command([0], { initiatorTaskTag: 7 });
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.taskInProgress);
});

test("immediate commands are limited", async () => {
  const { session, disk } = await begin({}, { immediateMax: 1 });
  disk.gate = new Promise(() => {});
  await session.command([0], { immediate: true });
  await session.command([0], { immediate: true });
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.tooManyImmediateCommands);
});

test("with digests both sides' PDUs carry them, and a wrong one in a header ends the connection", async () => {
  const { session, disk } = await begin({ HeaderDigest: "CRC32C", DataDigest: "CRC32C" });
  disk.bytes.fill(5);
  await session.command(read10(0, 3), { ...READ, expectedBytes: 3 * 512 });
  assert.equal((await session.next(dataInPdu)).data.length, 3 * 512);
  await session.command(write10(0, 1), { write: true, expectedBytes: 512 }, Buffer.alloc(512, 6));
  assert.equal((await session.next(scsiResponsePdu)).pdu.status, 0);
  assert.equal(disk.bytes[511], 6);
  const damaged = session.encode(nopOutPdu, { immediate: true, initiatorTaskTag: 1 });
  damaged[20]! ^= 1;
  await session.feed(damaged);
  assert.equal(session.isClosed, true);
});

test("a wrong digest of data rejects it and fails the command", async () => {
  const { session, disk } = await begin({ DataDigest: "CRC32C" });
  const fields = { final: true, write: true, expectedBytes: 512, commandNumber: 100, initiatorTaskTag: 3 };
  const pdu = session.encode(
    scsiCommandPdu,
    { ...fields, cdb: Uint8Array.from([...write10(0, 1), 0, 0, 0, 0, 0, 0]) },
    Buffer.alloc(512, 9),
  );
  pdu[100]! ^= 1;
  await session.feed(pdu);
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.dataDigestError);
  const { pdu: response, data } = await session.next(scsiResponsePdu);
  assert.deepEqual([response.status, data[4], data[14], data[15]], [2, 0x0b, 0x47, 0x05]);
  assert.deepEqual([disk.executed.length, session.isClosed], [0, false]);
});

test("a closing server asks initiators to log out, and ends what is left", async () => {
  const { session, server, clock, disk } = await begin();
  const closing = server.close({ graceMs: 4000 });
  await settled();
  const event = await session.next(asyncMessagePdu);
  assert.deepEqual([event.pdu.event, event.pdu.parameter3], [AsyncEvent.logoutRequested, 2]);
  await session.command([0]);
  await session.next(scsiResponsePdu);
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await session.command([0]);
  await clock.step(2000);
  assert.equal((await session.next(asyncMessagePdu)).pdu.event, AsyncEvent.connectionDropped);
  assert.equal(session.isEnded, false);
  gate.resolve();
  await session.next(scsiResponsePdu);
  await closing;
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});

test("a logout of a connection that is not this one is refused", async () => {
  const { session } = await begin();
  await session.send(logoutRequestPdu, { immediate: true, reason: 1, connectionId: 9 });
  assert.equal((await session.next(logoutResponsePdu)).pdu.response, 1);
  await session.send(logoutRequestPdu, { immediate: true, reason: 2, connectionId: 1 });
  assert.equal((await session.next(logoutResponsePdu)).pdu.response, 2);
  await session.send(dataOutPdu, { initiatorTaskTag: 99 }, Buffer.alloc(10));
  assert.equal(session.isClosed, false);
});

test("a connection that breaks off lets its target go once the device server has", async () => {
  const { session, disk, targets, server } = await begin();
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await session.command([0]);
  session.destroy();
  await settled();
  assert.equal(disk.executed[0]!.signal.aborted, true);
  assert.deepEqual([targets.openNow, disk.nexuses.size], [1, 1]);
  gate.resolve();
  await settled();
  assert.deepEqual([targets.openNow, disk.nexuses.size, server.counters.sessions], [0, 0, 0]);
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
});
