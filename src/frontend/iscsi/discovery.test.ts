import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import type { Peer } from "../../ports/mod.ts";
import {
  dataInPdu,
  encodeText,
  LoginStage,
  NO_TAG,
  RejectReason,
  rejectPdu,
  textRequestPdu,
  textResponsePdu,
} from "../../wire/iscsi/mod.ts";
import { type IscsiLimits, IscsiServer } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  INITIATOR,
  OneTarget,
  PORTAL,
  read10,
  TARGET,
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

/** A session that only asks which targets there are. */
async function discover(portals: string[] = [PORTAL.address]) {
  const targets = new OneTarget();
  const server = new IscsiServer({
    targets,
    clock: new SteppedClock(),
    random: countingRandom,
    portals: portals.map((address) => ({ ...PORTAL, address })),
  });
  const session = new DirectSession(server);
  await session.loginStep(
    { InitiatorName: INITIATOR, SessionType: "Discovery" },
    { current: LoginStage.security, next: LoginStage.fullFeature },
  );
  return { targets, session };
}

async function ask(session: DirectSession, text: [string, string][], fields: object = {}) {
  await session.send(
    textRequestPdu,
    {
      final: true,
      initiatorTaskTag: 1,
      targetTransferTag: NO_TAG,
      commandNumber: session.commandNumber++,
      ...fields,
    },
    encodeText(text),
  );
  return await session.next(textResponsePdu);
}

test("a discovery session learns of all targets, or of one", async () => {
  const { session, targets } = await discover(["127.0.0.1:3260", "[::1]:3260"]);
  const all = `TargetName=${TARGET}\0TargetAddress=127.0.0.1:3260,1\0TargetAddress=[::1]:3260,1\0`;
  assert.equal((await ask(session, [["SendTargets", "All"]])).data.toString(), all);
  assert.equal((await ask(session, [["SendTargets", TARGET]])).data.toString(), all);
  assert.equal((await ask(session, [["SendTargets", "iqn.2026-11.org:x"]])).data.toString(), "");
  assert.equal((await ask(session, [["SendTargets", ""]])).data.toString(), "SendTargets=Reject\0");
  assert.equal(targets.openings, 0);
});

test("a discovery session takes no commands", async () => {
  const { session } = await discover();
  await session.command([0]);
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.commandNotSupported);
});

test("a portal on all addresses is given by the one that the initiator came to", async () => {
  const { session } = await discover(["0.0.0.0:3261", "10.0.0.1:3260"]);
  const unknown = await ask(session, [["SendTargets", "All"]]);
  assert.match(
    unknown.data.toString(),
    /TargetAddress=0\.0\.0\.0:3261,1\0TargetAddress=10\.0\.0\.1:3260,1\0$/,
  );
  for (const [localAddress, portals, told] of [
    ["::ffff:192.0.2.7", ["0.0.0.0:3261", "10.0.0.1:3260"], ["192.0.2.7:3261", "10.0.0.1:3260"]],
    ["192.0.2.7", ["[::]:3260"], ["192.0.2.7:3260"]],
    ["2001:db8::7", ["[::]:3260", "0.0.0.0:3260"], ["[2001:db8::7]:3260"]],
  ] as const) {
    const { session: known } = await discover([...portals]);
    const stream = known as unknown as { peer: Peer };
    stream.peer = { ...stream.peer, localAddress };
    const { data } = await ask(known, [["SendTargets", "All"]]);
    const addresses = [...data.toString().matchAll(/TargetAddress=([^,]+),1\0/g)].map(
      ([, address]) => address,
    );
    assert.deepEqual(addresses, told);
  }
});

test("a normal session learns of its own target only, and other keys are answered by their rules", async () => {
  const { session } = await begin();
  const own = await ask(session, [["SendTargets", ""]]);
  assert.match(own.data.toString(), new RegExp(`^TargetName=${TARGET}\0`));
  const rest = await ask(session, [
    ["SendTargets", "All"],
    ["MaxBurstLength", "512"],
    ["X-any", "1"],
    ["MaxRecvDataSegmentLength", "1024"],
  ]);
  assert.equal(rest.data.toString(), "SendTargets=Reject\0MaxBurstLength=Reject\0X-any=NotUnderstood\0");
  await session.command(read10(0, 4), { ...READ, expectedBytes: 2048 });
  assert.equal((await session.next(dataInPdu)).data.length, 1024);
});

test("a long answer comes in pieces that the initiator fetches", async () => {
  const { session, targets } = await discover();
  const many = Array.from({ length: 40 }, (_, index) => ({ name: `${TARGET}-${index}`, alias: "disk" }));
  targets.list = () => many;
  await ask(session, [["MaxRecvDataSegmentLength", "1024"]]);
  let answer = await ask(session, [["SendTargets", "All"]]);
  let text = answer.data.toString();
  for (let pieces = 1; answer.pdu.continues; pieces++) {
    assert.equal(pieces < 10 && answer.data.length <= 1024, true);
    answer = await ask(session, [], { targetTransferTag: answer.pdu.targetTransferTag });
    text += answer.data.toString();
  }
  assert.equal(answer.pdu.final, true);
  assert.equal(text.match(/TargetName=/g)?.length, 40);
});

test("a text request for an exchange that is not open is rejected", async () => {
  const { session } = await begin();
  await session.send(textRequestPdu, { final: true, immediate: true, targetTransferTag: 12 });
  assert.equal((await session.next(rejectPdu)).pdu.reason, RejectReason.invalidPduField);
});
