import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { RopewalkError } from "../../base/errors.ts";
import { LoginStage, LoginStatus, logoutRequestPdu, logoutResponsePdu } from "../../wire/iscsi/mod.ts";
import { checkAuthentication, type IscsiLimits, IscsiServer } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  INITIATOR,
  OneTarget,
  settled,
  TARGET,
} from "./testing/direct-session.ts";

const { security, operational, fullFeature } = LoginStage;
const NAMES = { InitiatorName: INITIATOR, TargetName: TARGET };
const ACCOUNTS = {
  incoming: [{ user: "joe", secret: "a secret of joe" }],
  outgoing: { user: "disk", secret: "a secret of disk" },
};

function serve(limits: Partial<IscsiLimits> = {}) {
  const targets = new OneTarget();
  const clock = new SteppedClock();
  const server = new IscsiServer({ targets, clock, random: countingRandom, limits });
  return { targets, clock, server };
}

test("a login through both stages gives a session with a TSIH and the portal group's tag", async () => {
  const { server, targets } = serve();
  const session = new DirectSession(server);
  const first = await session.loginStep(
    { ...NAMES, AuthMethod: "CHAP,None" },
    { current: security, next: operational },
  );
  assert.equal(first.keys["AuthMethod"], "None");
  assert.equal(first.keys["TargetPortalGroupTag"], "1");
  assert.equal(first.keys["TargetAlias"], "disk");
  assert.deepEqual([first.pdu.transit, first.pdu.nextStage, first.pdu.sessionHandle], [true, operational, 0]);
  const last = await session.loginStep({}, { current: operational, next: fullFeature });
  assert.notEqual(last.pdu.sessionHandle, 0);
  assert.equal(last.keys["MaxRecvDataSegmentLength"], "262144");
  const nexus = [...targets.scsi.nexuses][0]!;
  assert.equal(nexus.initiatorPort, `${INITIATOR},i,0x800102030405`);
  assert.equal(nexus.targetPort, `${TARGET},t,0x0001`);
  assert.equal(nexus.isProtected, true);
  assert.equal(server.counters.sessions, 1);
});

test("operational keys are answered by their rules", async () => {
  const session = new DirectSession(serve().server);
  const keys = await session.login({
    HeaderDigest: "Other,CRC32C,None",
    DataDigest: "None,CRC32C",
    MaxConnections: "8",
    InitialR2T: "No",
    ImmediateData: "Yes",
    MaxBurstLength: "16776192",
    FirstBurstLength: "65536",
    DefaultTime2Wait: "5",
    DefaultTime2Retain: "20",
    MaxOutstandingR2T: "3",
    DataPDUInOrder: "No",
    DataSequenceInOrder: "No",
    ErrorRecoveryLevel: "2",
    IFMarker: "Yes",
    OFMarkInt: "Irrelevant",
    "X-org.example.key": "1",
  });
  assert.deepEqual(keys, {
    TargetPortalGroupTag: "1",
    TargetAlias: "disk",
    HeaderDigest: "CRC32C",
    DataDigest: "None",
    MaxConnections: "1",
    InitialR2T: "No",
    ImmediateData: "Yes",
    MaxBurstLength: "1048576",
    FirstBurstLength: "65536",
    DefaultTime2Wait: "5",
    DefaultTime2Retain: "0",
    MaxOutstandingR2T: "3",
    DataPDUInOrder: "Yes",
    DataSequenceInOrder: "Yes",
    ErrorRecoveryLevel: "0",
    IFMarker: "No",
    OFMarkInt: "Reject",
    "X-org.example.key": "NotUnderstood",
    MaxRecvDataSegmentLength: "262144",
  });
});

test("values out of range are rejected and change nothing", async () => {
  const session = new DirectSession(serve().server);
  const keys = await session.login({ MaxBurstLength: "100", MaxOutstandingR2T: "0", InitialR2T: "yes" });
  assert.equal(keys["MaxBurstLength"], "Reject");
  assert.equal(keys["MaxOutstandingR2T"], "Reject");
  assert.equal(keys["InitialR2T"], "Reject");
});

test("a list that goes on in the next request is taken as one", async () => {
  const session = new DirectSession(serve().server);
  const answer = await session.loginStep(
    { InitiatorName: INITIATOR },
    { current: operational },
    { continues: true },
  );
  assert.deepEqual([answer.keys, answer.pdu.transit], [{}, false]);
  const last = await session.loginStep({ TargetName: TARGET }, { current: operational, next: fullFeature });
  assert.equal(last.pdu.status, LoginStatus.success);
  assert.notEqual(last.pdu.sessionHandle, 0);
});

async function refusal(
  keys: Record<string, string>,
  fields: object = {},
  prepare?: (targets: OneTarget) => void,
): Promise<number> {
  const { server, targets } = serve();
  prepare?.(targets);
  const session = new DirectSession(server);
  const answer = await session.loginStep(keys, { current: operational, next: fullFeature }, fields);
  await settled();
  assert.equal(session.isEnded, true);
  assert.equal(targets.openNow, 0);
  assert.equal(server.counters.connections, 0);
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
  return answer.pdu.status;
}

test("a login is refused with the status that says why", async () => {
  assert.equal(await refusal({ TargetName: TARGET }), LoginStatus.missingParameter);
  assert.equal(await refusal({ InitiatorName: INITIATOR }), LoginStatus.missingParameter);
  assert.equal(await refusal({ ...NAMES, InitiatorName: "joe" }), LoginStatus.initiatorError);
  assert.equal(await refusal({ ...NAMES, SessionType: "Other" }), LoginStatus.sessionTypeNotSupported);
  assert.equal(await refusal(NAMES, { versionMin: 1 }), LoginStatus.unsupportedVersion);
  assert.equal(await refusal(NAMES, { sessionHandle: 77 }), LoginStatus.sessionDoesNotExist);
  assert.equal(await refusal(NAMES, { nextStage: 1 }), LoginStatus.initiatorError);
  assert.equal(await refusal(NAMES, { currentStage: 2 }), LoginStatus.initiatorError);
  const failing = (code: "NOT_FOUND" | "UNAUTHORIZED" | "TOO_MANY" | "IN_USE") =>
    refusal(NAMES, {}, (targets) => (targets.refusal = new RopewalkError(code, "no")));
  assert.equal(await failing("NOT_FOUND"), LoginStatus.notFound);
  assert.equal(await failing("UNAUTHORIZED"), LoginStatus.authorizationFailure);
  assert.equal(await failing("TOO_MANY"), LoginStatus.outOfResources);
  assert.equal(await failing("IN_USE"), LoginStatus.serviceUnavailable);
  const needsChap = (targets: OneTarget) => (targets.auth = ACCOUNTS);
  assert.equal(await refusal(NAMES, {}, needsChap), LoginStatus.authenticationFailure);
  const weak = (targets: OneTarget) => (targets.auth = { incoming: [{ user: "joe", secret: "short" }] });
  assert.equal(await refusal(NAMES, {}, weak), LoginStatus.targetError);
});

test("a key that is negotiated twice ends the login", async () => {
  const session = new DirectSession(serve().server);
  await session.loginStep({ ...NAMES, MaxBurstLength: "4096" }, { current: operational });
  const again = await session.loginStep({ MaxBurstLength: "8192" }, { current: operational });
  assert.equal(again.pdu.status, LoginStatus.initiatorError);
});

function response(identifier: number, secret: string, challenge: string): string {
  const bytes = Buffer.from(challenge.slice(2), "hex");
  const hash = createHash("md5").update(Buffer.of(identifier)).update(secret).update(bytes);
  return `0x${hash.digest("hex")}`;
}

/** Goes as far as the challenge, and answers it. */
async function chap(secret: string, more: (challenge: string) => Record<string, string> = () => ({})) {
  const { server, targets } = serve();
  targets.auth = ACCOUNTS;
  const session = new DirectSession(server);
  const first = await session.loginStep({ ...NAMES, AuthMethod: "None,CHAP" }, { current: security });
  assert.equal(first.keys["AuthMethod"], "CHAP");
  const second = await session.loginStep({ CHAP_A: "7,5" }, { current: security });
  assert.equal(second.keys["CHAP_A"], "5");
  const challenge = second.keys["CHAP_C"]!;
  const answer = await session.loginStep(
    { CHAP_N: "joe", CHAP_R: response(Number(second.keys["CHAP_I"]), secret, challenge), ...more(challenge) },
    { current: security, next: fullFeature },
  );
  return { answer, targets };
}

test("CHAP lets in who knows the secret", async () => {
  const { answer, targets } = await chap("a secret of joe");
  assert.equal(answer.pdu.status, LoginStatus.success);
  assert.equal(answer.pdu.transit, true);
  assert.equal(targets.scsi.nexuses.size, 1);
});

test("CHAP refuses a wrong secret and an unknown user alike", async () => {
  const wrong = await chap("another secret");
  const unknown = await chap("a secret of joe", () => ({ CHAP_N: "jim" }));
  for (const { answer, targets } of [wrong, unknown]) {
    assert.equal(answer.pdu.status, LoginStatus.authenticationFailure);
    assert.equal(targets.scsi.nexuses.size, 0);
  }
});

test("mutual CHAP proves the target to the initiator", async () => {
  const challenge = "0x0102030405060708090a0b0c0d0e0fff";
  const { answer } = await chap("a secret of joe", () => ({ CHAP_I: "9", CHAP_C: challenge }));
  assert.equal(answer.keys["CHAP_N"], "disk");
  assert.equal(answer.keys["CHAP_R"], response(9, "a secret of disk", challenge));
});

test("the target's own challenge is not answered by the target", async () => {
  const { answer } = await chap("a secret of joe", (challenge) => ({ CHAP_I: "9", CHAP_C: challenge }));
  assert.equal(answer.pdu.status, LoginStatus.authenticationFailure);
});

test("an initiator that must prove itself cannot leave the security stage without", async () => {
  const { server, targets } = serve();
  targets.auth = ACCOUNTS;
  for (const method of [{ AuthMethod: "None" }, {}]) {
    const session = new DirectSession(server);
    const answer = await session.loginStep({ ...NAMES, ...method }, { current: security, next: fullFeature });
    assert.equal(answer.pdu.status, LoginStatus.authenticationFailure);
  }
  const session = new DirectSession(server);
  const answer = await session.loginStep(
    { ...NAMES, AuthMethod: "CHAP" },
    { current: security, next: fullFeature },
  );
  assert.equal(answer.pdu.transit, false);
});

test("accounts that are not fit for CHAP are refused where they are configured", () => {
  const account = { user: "joe", secret: "123456789012" };
  checkAuthentication({ incoming: [account] });
  for (const auth of [
    { incoming: [] },
    { incoming: [{ user: "joe", secret: "12345678901" }] },
    { incoming: [{ user: "", secret: "123456789012" }] },
    { incoming: [account, account] },
    { incoming: [account], outgoing: { user: "disk", secret: "123456789012" } },
  ])
    assert.throws(() => checkAuthentication(auth), { code: "INVALID_CONFIG" });
});

test("a login with the same name and ISID replaces the session before it", async () => {
  const { server, targets } = serve();
  const first = new DirectSession(server);
  await first.login();
  const old = [...targets.scsi.nexuses][0];
  const second = new DirectSession(server);
  await second.login();
  assert.equal(first.isClosed, true);
  assert.equal(targets.scsi.nexuses.size, 1);
  assert.notEqual([...targets.scsi.nexuses][0], old);
  assert.equal(targets.openNow, 1);
});

test("a second connection for a session is refused, and the same one again ends the session", async () => {
  const { server, targets } = serve();
  const first = new DirectSession(server);
  const answer = await first.loginStep(NAMES, { current: operational, next: fullFeature });
  const { sessionHandle } = answer.pdu;
  const second = new DirectSession(server);
  const other = await second.loginStep(
    NAMES,
    { current: operational, next: fullFeature },
    { sessionHandle, connectionId: 2 },
  );
  assert.equal(other.pdu.status, LoginStatus.tooManyConnections);
  assert.equal(first.isClosed, false);
  const third = new DirectSession(server);
  const same = await third.loginStep(NAMES, { current: operational, next: fullFeature }, { sessionHandle });
  assert.equal(same.pdu.status, LoginStatus.sessionDoesNotExist);
  await settled();
  assert.equal(first.isClosed, true);
  assert.equal(targets.openNow, 0);
});

test("sessions and connections are limited", async () => {
  const { server } = serve({ sessionsMax: 1, connectionsMax: 2 });
  const first = new DirectSession(server);
  await first.login();
  const second = new DirectSession(server);
  assert.throws(() => new DirectSession(server), /refused/);
  const answer = await second.loginStep(
    { ...NAMES, InitiatorName: `${INITIATOR}2` },
    { current: operational, next: fullFeature },
  );
  assert.equal(answer.pdu.status, LoginStatus.outOfResources);
});

test("a login that takes too long is closed", async () => {
  const { server, clock } = serve();
  const session = new DirectSession(server);
  await clock.step(14_000);
  assert.equal(session.isClosed, false);
  await clock.step(4_000);
  assert.equal(session.isClosed, true);
});

test("a request before the login is complete ends the connection", async () => {
  const session = new DirectSession(serve().server);
  await session.send(logoutRequestPdu, {});
  assert.equal(session.isClosed, true);
});

test("a logout is answered, then the connection ends", async () => {
  const { server, targets } = serve();
  const session = new DirectSession(server);
  await session.login();
  await session.send(logoutRequestPdu, { immediate: true, reason: 1, connectionId: 1, initiatorTaskTag: 5 });
  const { pdu } = await session.next(logoutResponsePdu);
  assert.deepEqual([pdu.response, pdu.initiatorTaskTag], [0, 5]);
  await settled();
  assert.equal(session.isEnded, true);
  assert.equal(targets.openNow, 0);
  assert.equal(targets.scsi.nexuses.size, 0);
});
