import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import {
  LoginStage,
  scsiResponsePdu,
  TaskFunction,
  taskManagementRequestPdu,
  taskManagementResponsePdu,
} from "../../wire/iscsi/mod.ts";
import { type IscsiLimits, IscsiServer } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  INITIATOR,
  OneTarget,
  settled,
  TARGET,
} from "./testing/direct-session.ts";

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

/** A second initiator at the same target. */
async function beginOther(server: IscsiServer): Promise<DirectSession> {
  const other = new DirectSession(server);
  await other.loginStep(
    { InitiatorName: `${INITIATOR}2`, TargetName: TARGET },
    { current: LoginStage.operational, next: LoginStage.fullFeature },
  );
  return other;
}

async function manage(session: DirectSession, fields: object): Promise<void> {
  await session.send(taskManagementRequestPdu, {
    immediate: true,
    initiatorTaskTag: 0x7777,
    commandNumber: session.commandNumber,
    ...fields,
  });
}

test("an aborted task is not answered, and the function only when the device server has let go", async () => {
  const { session, disk } = await begin();
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  const tag = await session.command([0]);
  await manage(session, {
    function: TaskFunction.abortTask,
    referencedTaskTag: tag,
    referencedCommandNumber: 100,
  });
  assert.equal(disk.executed[0]!.signal.aborted, true);
  assert.equal(session.received.length, 0);
  gate.resolve();
  const { pdu } = await session.next(taskManagementResponsePdu);
  assert.deepEqual([pdu.response, pdu.initiatorTaskTag], [0, 0x7777]);
  assert.equal(session.received.length, 0);
});

test("a task that is not there is said to be so, and one that was lost counts as aborted", async () => {
  const { session } = await begin();
  const gone = { function: TaskFunction.abortTask, referencedTaskTag: 55 };
  await manage(session, { ...gone, referencedCommandNumber: 90 });
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 1);
  await manage(session, { ...gone, referencedCommandNumber: 100, commandNumber: 101 });
  const { pdu } = await session.next(taskManagementResponsePdu);
  assert.deepEqual([pdu.response, pdu.expectedCommandNumber], [0, 101]);
});

test("a reset of the unit aborts everybody's tasks and tells the device server", async () => {
  const { session, disk, server } = await begin();
  const other = await beginOther(server);
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await session.command([0]);
  await other.command([0]);
  await manage(session, { function: TaskFunction.logicalUnitReset });
  assert.equal((await other.next(scsiResponsePdu)).pdu.status, 0x40);
  assert.equal(disk.resets.length, 0);
  gate.resolve();
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 0);
  assert.deepEqual(disk.resets, [0]);
  assert.deepEqual([session.received.length, other.received.length], [0, 0]);
});

test("ABORT TASK SET leaves other initiators' tasks alone, CLEAR TASK SET does not", async () => {
  const { session, disk, server } = await begin();
  const other = await beginOther(server);
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await session.command([0]);
  await other.command([0]);
  await manage(session, { function: TaskFunction.abortTaskSet });
  assert.deepEqual(
    disk.executed.map(({ signal }) => signal.aborted),
    [true, false],
  );
  await manage(session, { function: TaskFunction.clearTaskSet });
  assert.equal(disk.executed[1]!.signal.aborted, true);
  gate.resolve();
  await session.next(taskManagementResponsePdu);
});

test("a cold reset ends every session of the target", async () => {
  const { session, disk, server } = await begin();
  const other = await beginOther(server);
  await manage(session, { function: TaskFunction.targetColdReset });
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 0);
  await settled();
  assert.deepEqual(disk.resets, ["all"]);
  assert.deepEqual([session.isClosed, other.isClosed], [true, true]);
});

test("functions of other recovery levels are refused", async () => {
  const { session } = await begin();
  await manage(session, { function: TaskFunction.taskReassign });
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 4);
  await manage(session, { function: TaskFunction.clearAca });
  assert.equal((await session.next(taskManagementResponsePdu)).pdu.response, 5);
});
