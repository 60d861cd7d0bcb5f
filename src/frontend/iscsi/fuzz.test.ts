// Hostile bytes: random ones, and recorded sessions with bytes changed, cut out, doubled and cut off. Whatever comes, the
// server neither throws nor hangs, its memory stays within its limits, and nothing stays open.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { hostClock } from "../../host/mod.ts";
import {
  dataOutPdu,
  encodeText,
  loginRequestPdu,
  logoutRequestPdu,
  NO_TAG,
  nopOutPdu,
  scsiCommandPdu,
  taskManagementRequestPdu,
  textRequestPdu,
} from "../../wire/iscsi/mod.ts";
import { IscsiServer } from "./mod.ts";
import {
  countingRandom,
  DirectSession,
  INITIATOR,
  OneTarget,
  read10,
  settled,
  TARGET,
  write10,
} from "./testing/direct-session.ts";

const MEMORY_MAX = 64 * 1024 * 1024;

function serve(targets: OneTarget): IscsiServer {
  return new IscsiServer({ targets, clock: hostClock, random: countingRandom });
}

/** A session that uses all requests, with digests or without. */
function recorded(digests: boolean): Buffer {
  const encoder = new DirectSession(serve(new OneTarget()));
  const digest = digests ? "CRC32C" : "None";
  const login = encoder.encode(
    loginRequestPdu,
    { immediate: true, transit: true, currentStage: 1, nextStage: 3, commandNumber: 1, connectionId: 1 },
    encodeText([
      ["InitiatorName", INITIATOR],
      ["TargetName", TARGET],
      ["InitialR2T", "No"],
      ["HeaderDigest", digest],
      ["DataDigest", digest],
    ]),
  );
  encoder.headerDigest = encoder.dataDigest = digests;
  let commandNumber = 1;
  const command = (cdb: number[], fields: object, data?: Uint8Array) =>
    encoder.encode(
      scsiCommandPdu,
      {
        final: true,
        commandNumber,
        initiatorTaskTag: commandNumber++,
        cdb: Uint8Array.from([...cdb, 0, 0, 0, 0, 0, 0]),
        ...fields,
      },
      data,
    );
  const write = { write: true, expectedBytes: 4096 };
  return Buffer.concat([
    login,
    command(read10(0, 8), { read: true, expectedBytes: 4096 }),
    command(write10(0, 8), write, Buffer.alloc(4096, 1)),
    command(write10(0, 8), { ...write, final: false }, Buffer.alloc(1024, 2)),
    encoder.encode(
      dataOutPdu,
      { final: true, initiatorTaskTag: 3, targetTransferTag: NO_TAG, bufferOffset: 1024 },
      Buffer.alloc(3072, 3),
    ),
    command(write10(8, 8), write),
    encoder.encode(
      dataOutPdu,
      { final: true, initiatorTaskTag: 4, targetTransferTag: 0 },
      Buffer.alloc(4096, 4),
    ),
    encoder.encode(
      textRequestPdu,
      { final: true, targetTransferTag: NO_TAG, commandNumber: commandNumber++ },
      encodeText([["SendTargets", ""]]),
    ),
    encoder.encode(taskManagementRequestPdu, { immediate: true, function: 5, commandNumber }),
    encoder.encode(
      nopOutPdu,
      { initiatorTaskTag: 77, targetTransferTag: NO_TAG, commandNumber: commandNumber++ },
      Buffer.alloc(33),
    ),
    encoder.encode(logoutRequestPdu, { immediate: true, connectionId: 1, commandNumber }),
  ]);
}

interface LoginStep {
  readonly pairs: readonly (readonly [string, string])[];
  readonly currentStage: number;
  readonly nextStage: number;
  readonly transit: boolean;
}

/** A login with CHAP that is right but for the response, which nobody can know without the secret. */
const DIALOG: readonly LoginStep[] = [
  {
    pairs: [
      ["InitiatorName", INITIATOR],
      ["TargetName", TARGET],
      ["AuthMethod", "CHAP,None"],
    ],
    ...{ currentStage: 0, nextStage: 1, transit: false },
  },
  { pairs: [["CHAP_A", "5"]], currentStage: 0, nextStage: 1, transit: false },
  {
    pairs: [
      ["CHAP_N", "joe"],
      ["CHAP_R", `0x${createHash("md5").update("").digest("hex")}`],
    ],
    ...{ currentStage: 0, nextStage: 3, transit: true },
  },
  { pairs: [["HeaderDigest", "None"]], currentStage: 1, nextStage: 3, transit: true },
];

const otherPair = fc.oneof(
  fc.tuple(
    fc.constantFrom("CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C", "AuthMethod", "SessionType"),
    fc.oneof(
      fc.constantFrom(
        "5",
        "7,5",
        "joe",
        "256",
        "",
        "0x",
        "0b",
        "0bAAAA",
        "None",
        "CHAP",
        "Discovery",
        "Reject",
      ),
      fc.stringMatching(/^0x[0-9a-f]{0,64}$/),
    ),
  ),
  fc.tuple(
    fc.constantFrom(
      "InitiatorName",
      "TargetName",
      "MaxBurstLength",
      "ErrorRecoveryLevel",
      "IFMarkInt",
      "X-a",
    ),
    fc.oneof(fc.constantFrom("Yes", "0", "512", "16777216", "-1", TARGET), fc.string({ maxLength: 300 })),
  ),
);
const loginChange = fc.record({
  step: fc.nat(5),
  kind: fc.constantFrom("pair", "drop", "skip", "repeat", "stage", "transit"),
  pair: otherPair,
  value: fc.nat(3),
});
type LoginChange = typeof loginChange extends fc.Arbitrary<infer Value> ? Value : never;

function changedDialog(changes: readonly LoginChange[]): LoginStep[] {
  const steps = [...DIALOG];
  for (const { step, kind, pair, value } of changes) {
    const at = step % steps.length;
    const old = steps[at]!;
    if (kind === "pair") steps[at] = { ...old, pairs: [...old.pairs, pair] };
    else if (kind === "drop") steps[at] = { ...old, pairs: old.pairs.filter((_, index) => index !== value) };
    else if (kind === "skip" && steps.length > 1) steps.splice(at, 1);
    else if (kind === "repeat") steps.splice(at, 0, old);
    else if (kind === "stage") steps[at] = { ...old, [value % 2 ? "currentStage" : "nextStage"]: value };
    else if (kind === "transit") steps[at] = { ...old, transit: !old.transit };
  }
  return steps;
}

/** Sends a login and a read behind it. Returns what became of it. */
async function tryLogin(steps: readonly LoginStep[], targets: OneTarget) {
  const server = serve(targets);
  const session = new DirectSession(server);
  for (const { pairs, ...stages } of steps) {
    if (session.isClosed) break;
    const fields = { immediate: true, connectionId: 1, commandNumber: 1, ...stages };
    await session.send(loginRequestPdu, fields, encodeText(pairs.map(([key, value]) => [key, value])));
  }
  if (!session.isClosed) await session.command(read10(0, 1), { read: true, expectedBytes: 512 });
  const isIn = targets.scsi.nexuses.size > 0;
  const isChallenged = session.received.some(({ data }) => data.includes("CHAP_C="));
  session.destroy();
  await server.close();
  assert.equal(targets.openNow, 0);
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
  return { isIn, isChallenged };
}

test("whatever is sent as a login, nobody gets in without the secret, and nothing stays open", async () => {
  let challenges = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(loginChange, { maxLength: 4 }), async (changes) => {
      const targets = new OneTarget();
      targets.auth = { incoming: [{ user: "joe", secret: "a secret of joe" }] };
      const { isIn, isChallenged } = await tryLogin(changedDialog(changes), targets);
      // A discovery asks for no secret, and opens nothing.
      assert.equal(isIn, false);
      assert.equal(targets.scsi.executed.length, 0);
      if (isChallenged) challenges++;
    }),
    { numRuns: 500 },
  );
  assert.ok(challenges > 50, `only ${challenges} came as far as the challenge`);
  const { isIn } = await tryLogin(
    [DIALOG[0]!, DIALOG[3]!].map((step) => ({ ...step, transit: true })),
    new OneTarget(),
  );
  assert.equal(isIn, true, "without a secret it would have been a login");
});

const PLAIN = recorded(false);
const DIGESTED = recorded(true);

/** Feeds a session to a fresh server, in pieces of the given size, then breaks it off. */
async function feed(
  bytes: Uint8Array,
  pieceBytes: number,
  isSlow: boolean,
): Promise<{ targets: OneTarget; session: DirectSession }> {
  const targets = new OneTarget();
  const gate = Promise.withResolvers<void>();
  if (isSlow) targets.scsi.gate = gate.promise;
  const server = serve(targets);
  const session = new DirectSession(server);
  for (let at = 0; at < bytes.length && !session.isClosed; at += pieceBytes) {
    if (at > 20 * pieceBytes) gate.resolve();
    await session.feed(bytes.subarray(at, at + pieceBytes));
    assert.equal(server.memory.chunkBytes < MEMORY_MAX, true);
  }
  gate.resolve();
  for (let turns = 0; turns < 10 && !session.isClosed; turns++) await settled();
  session.destroy();
  await server.close();
  assert.equal(targets.openNow, 0, "every opened target is closed");
  assert.equal(targets.scsi.nexuses.size, 0);
  assert.equal(targets.scsi.running, 0);
  assert.deepEqual(server.memory, { chunkBytes: 0, inWorkBytes: 0 });
  return { targets, session };
}

test("the recorded sessions are what they should be", async () => {
  for (const bytes of [PLAIN, DIGESTED]) {
    const { targets, session } = await feed(bytes, 1000, false);
    assert.equal(targets.scsi.executed.length, 4);
    assert.equal(session.isEnded, true);
    assert.equal(targets.scsi.bytes[4096], 4);
  }
});

test("random bytes end the connection and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 3000 }),
      fc.integer({ min: 1, max: 3000 }),
      async (bytes, piece) => {
        await feed(bytes, piece, false);
      },
    ),
    { numRuns: 100 },
  );
});

const change = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), at: fc.nat(1_000_000), value: fc.nat(255) }),
  fc.record({ kind: fc.constant("flip" as const), at: fc.nat(1_000_000), value: fc.nat(7) }),
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(1_000_000), value: fc.nat(200) }),
  fc.record({ kind: fc.constant("double" as const), at: fc.nat(1_000_000), value: fc.nat(200) }),
  // The first bytes of a header are where most of its meaning is.
  fc.record({ kind: fc.constant("header" as const), at: fc.nat(1_000_000), value: fc.nat(255) }),
);

function changed(bytes: Buffer, changes: readonly { kind: string; at: number; value: number }[]): Buffer {
  let result = Buffer.from(bytes);
  for (const { kind, at, value } of changes) {
    const position = at % result.length;
    if (kind === "set") result[position] = value;
    else if (kind === "flip") result[position]! ^= 1 << value;
    else if (kind === "header") result[HEADERS[at % HEADERS.length]! % result.length] = value;
    else if (kind === "cut")
      result = Buffer.concat([result.subarray(0, position), result.subarray(position + value)]);
    else result = Buffer.concat([result.subarray(0, position + value), result.subarray(position)]);
    if (result.length === 0) return result;
  }
  return result;
}

/** Positions in the headers of the plain session. */
const HEADERS: number[] = [];
for (let at = 0; at < PLAIN.length; at += 48 + ((PLAIN.readUIntBE(at + 5, 3) + 3) & ~3))
  for (let byte = 0; byte < 48; byte++) HEADERS.push(at + byte);

for (const [name, bytes] of [
  ["without digests", PLAIN],
  ["with digests", DIGESTED],
] as const) {
  test(`a damaged session ${name} harms nobody`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 50, max: 20_000 }),
        fc.boolean(),
        async (changes, pieceBytes, isSlow) => {
          await feed(changed(bytes, changes), pieceBytes, isSlow);
        },
      ),
      { numRuns: 250 },
    );
  });
}
