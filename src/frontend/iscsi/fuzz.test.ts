// Hostile bytes: random ones, and recorded sessions with bytes changed, cut out, doubled and cut off. Whatever comes, the
// server neither throws nor hangs, its memory stays within its limits, and nothing stays open.
import assert from "node:assert/strict";
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
