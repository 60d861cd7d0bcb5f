// The copy manager under providers that fall short, fail, wait and are aborted; and under hostile bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  abortCdb,
  type Blocks,
  blockSegment,
  extendedCopyCdb,
  extendedCopyLid1List,
  extendedCopyLid4List,
  identificationCscd,
  offsetSegment,
  populateTokenList,
  readTokenInformation,
  receiveCdb,
  senseText,
  tokenCdb,
  writeUsingTokenList,
} from "../../../../test/support/copy-commands.ts";
import { ScriptedTokens } from "../../../../test/support/scripted-offload.ts";
import { SteppedClock } from "../../../../test/support/stepped-clock.ts";
import { AssertionFailed } from "../../../base/assert.ts";
import type { ErrorCode } from "../../../base/errors.ts";
import { CheckCondition, encodeSense } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";
import type { CopyUnit } from "../unit/third-party-copy.ts";
import { type CopyLimits, CopyManager, isSameDesignator } from "./mod.ts";

const MIB = 2 ** 20;
const nexusOf = (number: number): ScsiNexus => ({
  number,
  initiator: "iqn.x:host",
  initiatorPort: `iqn.x:host,i,0x${number}`,
  targetPort: "iqn.y:disk,t,0x1",
  portalGroupTag: 1,
  relativePort: 1,
  isProtected: true,
});

function unitOn(tokens: ScriptedTokens, name: number, blockBytes = 512): CopyUnit {
  const device = tokens.device(16 * MIB);
  return {
    device,
    blockBytes,
    capacityBlocks: (16 * MIB) / blockBytes,
    designators: [Uint8Array.from([1, 3, 0, 8, 0x50, 0, 0, 0, 0, 0, 0, name])],
    checkReadable: () => undefined,
    checkWritable: () => undefined,
    change: (_range, work) => work(),
  };
}

interface Sent {
  readonly nexus?: ScsiNexus;
  readonly unit?: CopyUnit;
  readonly signal?: AbortSignal;
}

class Fixture {
  readonly clock = new SteppedClock();
  readonly tokens = new ScriptedTokens();
  readonly unit: CopyUnit;
  readonly other: CopyUnit;
  readonly manager: CopyManager;

  constructor({ limits = {}, blockBytes = 512 }: { limits?: Partial<CopyLimits>; blockBytes?: number } = {}) {
    this.unit = unitOn(this.tokens, 1, blockBytes);
    this.other = unitOn(this.tokens, 2, 4096);
    this.manager = new CopyManager({
      clock: this.clock,
      tokens: this.tokens,
      limits,
      findUnit: (designator) =>
        this.other.designators.some((own) => isSameDesignator(own, designator)) ? this.other : undefined,
    });
  }

  async send(cdb: Uint8Array, dataOut: Uint8Array, { nexus, unit, signal }: Sent = {}) {
    const command = {
      nexus: nexus ?? nexusOf(1),
      lun: 0,
      cdb,
      dataOut,
      dataInBytesMax: 0xffffff,
      signal: signal ?? new AbortController().signal,
    };
    try {
      const { status, dataIn } = await this.manager.execute(command, unit ?? this.unit);
      return { status, sense: "", dataIn: dataIn ?? new Uint8Array() };
    } catch (error) {
      if (!(error instanceof CheckCondition)) throw error;
      const sense = senseText(encodeSense(error.sense, "fixed"));
      return { status: 2, sense, dataIn: new Uint8Array() };
    }
  }

  populate(ranges: readonly Blocks[], fields: object = {}, sent: Sent = {}, listId = 1) {
    const list = populateTokenList({ ranges, ...fields });
    return this.send(tokenCdb(0x10, listId, list.length), list, sent);
  }

  write(token: Uint8Array, ranges: readonly Blocks[], fields: object = {}, sent: Sent = {}, listId = 2) {
    const list = writeUsingTokenList({ token, ranges, ...fields });
    return this.send(tokenCdb(0x11, listId, list.length), list, sent);
  }

  async information(listId: number, sent: Sent = {}) {
    const reply = await this.send(receiveCdb(0x07, listId, 4096), new Uint8Array(), sent);
    assert.equal(reply.status, 0, reply.sense);
    return readTokenInformation(reply.dataIn);
  }

  async token(ranges: readonly Blocks[], sent: Sent = {}): Promise<Buffer> {
    assert.equal((await this.populate(ranges, {}, sent)).status, 0);
    return (await this.information(1, sent)).token!;
  }

  async bytes(unit: CopyUnit, { lba, blocks }: { lba: number; blocks: number }): Promise<Buffer> {
    const bytes = Buffer.alloc(blocks * unit.blockBytes);
    await unit.device.read(lba * unit.blockBytes, bytes);
    return bytes;
  }
}

const turns = async (count = 8) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const never = new Promise<void>(() => undefined);

test("a token's data is written where WRITE USING TOKEN says, and the results tell the blocks", async () => {
  const fixture = new Fixture();
  await fixture.unit.device.write(0, Buffer.alloc(8192, 7), 0);
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  const populated = await fixture.information(1);
  assert.deepEqual(
    { ...populated, sense: "", token: "" },
    {
      availableBytes: 32 + 4 + 514 - 4,
      serviceAction: 0x10,
      status: 1,
      counter: 1,
      delayMs: 0xfffffffe,
      completionStatus: 0,
      sense: "",
      units: 0xf1,
      blocks: 16,
      segments: 0,
      descriptorBytes: 514,
      token: "",
    },
  );
  assert.equal(
    (
      await fixture.write(token, [
        { lba: 100, blocks: 4 },
        { lba: 50, blocks: 12 },
      ])
    ).status,
    0,
  );
  assert.deepEqual(await fixture.bytes(fixture.unit, { lba: 100, blocks: 4 }), Buffer.alloc(2048, 7));
  assert.deepEqual(await fixture.bytes(fixture.unit, { lba: 50, blocks: 12 }), Buffer.alloc(6144, 7));
  const written = await fixture.information(2);
  assert.deepEqual(
    [written.serviceAction, written.status, written.blocks, written.descriptorBytes, written.availableBytes],
    [0x11, 1, 16, 0, 32],
  );
});

test("the offset into the ROD is in blocks of the destination", async () => {
  const fixture = new Fixture();
  const bytes = Buffer.from(Array.from({ length: 16 * 512 }, (_, index) => index >> 9));
  await fixture.unit.device.write(0, bytes, 0);
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  const reply = await fixture.write(
    token,
    [{ lba: 3, blocks: 1 }],
    { offsetBlocks: 1 },
    { unit: fixture.other },
  );
  assert.equal(reply.status, 0);
  assert.deepEqual(await fixture.bytes(fixture.other, { lba: 3, blocks: 1 }), bytes.subarray(4096));
});

test("a part of a token's data is good with status 03", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  await fixture.write(token, [{ lba: 100, blocks: 4 }]);
  assert.equal((await fixture.information(2)).status, 3);
});

test("a populate that falls short is good with status 03 and the lower count", async () => {
  const fixture = new Fixture();
  fixture.tokens.reads.push({ kind: "short", bytesMax: 5 * 512 + 100 });
  assert.equal((await fixture.populate([{ lba: 0, blocks: 16 }])).status, 0);
  const { status, blocks, descriptorBytes } = await fixture.information(1);
  assert.deepEqual({ status, blocks, descriptorBytes }, { status: 3, blocks: 5, descriptorBytes: 514 });
});

test("which of several providers binds is the token room's choice", async () => {
  const fixture = new Fixture();
  fixture.tokens.choices.push({ id: "inner" });
  await fixture.populate([{ lba: 0, blocks: 8 }]);
  await fixture.populate([{ lba: 0, blocks: 8 }], {}, {}, 2);
  assert.deepEqual(
    fixture.tokens.readRequests.map(({ provider }) => provider),
    [{ id: "inner" }, { skip: 0 }],
  );
});

test("a populate that gets no whole block has no room for a ROD, and gives the token up", async () => {
  const fixture = new Fixture();
  fixture.tokens.reads.push({ kind: "short", bytesMax: 511 });
  assert.equal((await fixture.populate([{ lba: 0, blocks: 16 }])).sense, "5/55/0c");
  await turns();
  assert.equal(fixture.tokens.kept, 0);
});

test("a write that falls short goes on by itself", async () => {
  const fixture = new Fixture();
  await fixture.unit.device.write(0, Buffer.alloc(8192, 9), 0);
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  fixture.tokens.writes.push({ kind: "short", bytesMax: 700 }, { kind: "short", bytesMax: 324 });
  assert.equal((await fixture.write(token, [{ lba: 64, blocks: 16 }])).status, 0);
  assert.deepEqual(await fixture.bytes(fixture.unit, { lba: 64, blocks: 16 }), Buffer.alloc(8192, 9));
});

test("ranges that follow each other are one write to the device, others one each", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  const ranges = [
    { lba: 64, blocks: 4 },
    { lba: 68, blocks: 4 },
    { lba: 90, blocks: 8 },
  ];
  assert.equal((await fixture.write(token, ranges)).status, 0);
  assert.deepEqual(
    fixture.tokens.writeRequests.map((request) => request.ranges),
    [[{ offsetBytes: 64 * 512, lengthBytes: 4096 }], [{ offsetBytes: 90 * 512, lengthBytes: 4096 }]],
  );
  assert.equal((await fixture.information(2)).blocks, 16);
});

test("a token that is too short ends the write with COPY ABORTED and the count of what was written", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 4 }]);
  assert.equal((await fixture.write(token, [{ lba: 64, blocks: 16 }])).sense, "a/0d/04");
  const { status, blocks, sense, completionStatus } = await fixture.information(2);
  assert.deepEqual([status, blocks, completionStatus, senseText(sense)], [2, 4, 2, "a/0d/04"]);
});

test("an offset behind the token's end says that its length is wrong", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 4 }]);
  for (const offsetBlocks of [4, 2 ** 40, 0xffff_ffff_ffff_ffffn])
    assert.equal((await fixture.write(token, [{ lba: 64, blocks: 1 }], { offsetBlocks })).sense, "5/23/0a");
});

const errors: readonly (readonly [step: "reads" | "writes", code: ErrorCode, sense: string])[] = [
  ["writes", "TOKEN_UNKNOWN", "5/23/04"],
  ["writes", "TOKEN_REVOKED", "5/23/06"],
  ["writes", "TOKEN_EXPIRED", "5/23/07"],
  ["writes", "TOKEN_CANCELLED", "5/23/08"],
  ["writes", "TOKEN_DELETED", "5/23/09"],
  ["writes", "TOKEN_CUT", "5/23/0a"],
  ["writes", "TOKEN_CHANNEL", "5/23/02"],
  ["writes", "TOKEN_UNSUPPORTED", "5/23/01"],
  ["writes", "UNSUPPORTED", "5/23/01"],
  ["writes", "NO_SPACE", "7/27/07"],
  ["writes", "READ_ONLY", "7/27/00"],
  ["writes", "CHECKSUM_MISMATCH", "3/11/00"],
  ["writes", "IO_ERROR", "4/44/00"],
  ["writes", "UNREACHABLE", "a/0d/02"],
  ["reads", "TOO_MANY", "5/55/0d"],
  ["reads", "NO_SPACE", "5/55/0c"],
  ["reads", "TOKEN_UNSUPPORTED", "5/26/00"],
  ["reads", "UNSUPPORTED", "5/20/00"],
];

for (const [step, code, sense] of errors) {
  test(`${code} of ${step === "reads" ? "a populate" : "a write"} is ${sense}`, async () => {
    const fixture = new Fixture();
    const token = await fixture.token([{ lba: 0, blocks: 4 }]);
    fixture.tokens[step].push({ kind: "fail", code });
    const reply =
      step === "reads"
        ? await fixture.populate([{ lba: 0, blocks: 1 }])
        : await fixture.write(token, [{ lba: 9, blocks: 1 }]);
    assert.equal(reply.sense, sense);
    const information = await fixture.information(step === "reads" ? 1 : 2);
    assert.deepEqual([information.status, senseText(information.sense)], [2, sense]);
  });
}

test("an error after blocks were written keeps its own sense, with the count", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  fixture.tokens.writes.push({ kind: "short", bytesMax: 2048 }, { kind: "fail", code: "NO_SPACE" });
  assert.equal((await fixture.write(token, [{ lba: 64, blocks: 16 }])).sense, "7/27/07");
  assert.equal((await fixture.information(2)).blocks, 4);
});

test("the ROD type decides on policy and persistence; another is refused where it is valid", async () => {
  const wanted: readonly (readonly [number, string, boolean])[] = [
    [0, "preserve", false],
    [0x00010000, "reference", false],
    [0x00800000, "preserve", false],
    [0x00800001, "invalidate", false],
    [0x00800002, "preserve", true],
    [0x0080ffff, "preserve", false],
  ];
  const fixture = new Fixture();
  for (const [rodType, policy, persistent] of wanted) {
    assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }], { rodType })).status, 0);
    const request = fixture.tokens.readRequests.at(-1)!;
    assert.deepEqual([request.policy, request.persistent], [policy, persistent], rodType.toString(16));
  }
  for (const rodType of [1, 0x00800003, 0xffff0001])
    assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }], { rodType })).sense, "5/26/00");
});

test("the ROD type counts only where it is marked as valid", async () => {
  const fixture = new Fixture();
  const list = populateTokenList({ ranges: [{ lba: 0, blocks: 1 }] });
  list.writeUInt32BE(0x12345678, 8);
  assert.equal((await fixture.send(tokenCdb(0x10, 1, list.length), list)).status, 0);
});

test("an inactivity timeout of 0 is the default, one over the maximum is refused", async () => {
  const fixture = new Fixture({ limits: { inactivitySecondsDefault: 11, inactivitySecondsMax: 20 } });
  const ranges = [{ lba: 0, blocks: 1 }];
  assert.equal((await fixture.populate(ranges)).status, 0);
  assert.equal((await fixture.populate(ranges, { inactivitySeconds: 20 })).status, 0);
  assert.deepEqual(
    fixture.tokens.readRequests.map((request) => request.inactivityMs),
    [11_000, 20_000],
  );
  assert.equal((await fixture.populate(ranges, { inactivitySeconds: 21 })).sense, "5/26/00");
});

test("a write that is not IMMED ends before its time is over, and never good for a part", async () => {
  const fixture = new Fixture({ limits: { commandMsMax: 3_000 } });
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  fixture.tokens.writes.push({ kind: "short", bytesMax: 1024 }, { kind: "wait", until: never });
  const reply = fixture.write(token, [{ lba: 64, blocks: 16 }]);
  await turns();
  await fixture.clock.step(3_000);
  assert.equal((await reply).sense, "a/0d/04");
  assert.equal((await fixture.information(2)).blocks, 2);
});

test("IMMED answers at once, reports the progress, then the end", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 16 }]);
  const { promise, resolve } = Promise.withResolvers<void>();
  fixture.tokens.writes.push({ kind: "short", bytesMax: 1024 }, { kind: "wait", until: promise });
  const ranges = [{ lba: 64, blocks: 16 }];
  assert.equal((await fixture.write(token, ranges, { immediate: true })).status, 0);
  await turns();
  await fixture.clock.step(60_000);
  const running = await fixture.information(2);
  assert.deepEqual([running.status, running.blocks, running.counter, running.delayMs], [0x12, 2, 1, 500]);
  resolve();
  await turns();
  const ended = await fixture.information(2);
  assert.deepEqual([ended.status, ended.blocks, ended.delayMs], [1, 16, 0xfffffffe]);
});

test("IMMED still refuses wrong parameters at once, and keeps later errors for whoever asks", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 4 }]);
  const overlapping = [
    { lba: 1, blocks: 2 },
    { lba: 2, blocks: 2 },
  ];
  assert.equal((await fixture.write(token, overlapping, { immediate: true })).sense, "5/26/00");
  assert.equal((await fixture.write(token, [{ lba: 0, blocks: 9 }], { immediate: true })).status, 0);
  await turns();
  const { status, sense } = await fixture.information(2);
  assert.deepEqual([status, senseText(sense)], [2, "a/0d/04"]);
});

test("a list identifier in use is refused on its nexus, free on another, and shown as in the foreground", async () => {
  const fixture = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  fixture.tokens.reads.push({ kind: "wait", until: promise });
  const first = fixture.populate([{ lba: 0, blocks: 1 }]);
  await turns();
  assert.equal((await fixture.information(1)).status, 0x11);
  assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }])).sense, "5/00/16");
  assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }], {}, { nexus: nexusOf(2) })).status, 0);
  resolve();
  assert.equal((await first).status, 0);
  assert.equal((await fixture.information(1)).status, 1);
});

test("results belong to their nexus, and end with it, with a length of 0, and with a new command", async () => {
  const fixture = new Fixture();
  const ranges = [{ lba: 0, blocks: 1 }];
  const ask = (bytes: number, nexus = nexusOf(1)) =>
    fixture.send(receiveCdb(0x07, 1, bytes), new Uint8Array(), { nexus });
  await fixture.populate(ranges);
  assert.equal((await ask(512, nexusOf(2))).sense, "5/24/00");
  assert.equal((await ask(16)).dataIn.length, 16);
  assert.equal((await ask(0)).status, 0);
  assert.equal((await ask(512)).sense, "5/24/00");
  await fixture.populate(ranges);
  assert.equal((await fixture.populate([{ lba: 2 ** 40, blocks: 1 }])).sense, "5/21/00");
  assert.equal((await fixture.information(1)).token, undefined);
  fixture.manager.closed(nexusOf(1));
  assert.equal((await ask(512)).sense, "5/24/00");
  assert.deepEqual(fixture.tokens.endedCreators, ["iqn.x:host #1"]);
});

test("results are bounded in number and in time", async () => {
  const fixture = new Fixture({ limits: { resultsPerNexusMax: 2, resultMsMax: 1_000 } });
  for (const listId of [1, 2, 3]) await fixture.populate([{ lba: 0, blocks: 1 }], {}, {}, listId);
  assert.equal((await fixture.send(receiveCdb(0x07, 1, 99), new Uint8Array())).sense, "5/24/00");
  assert.equal((await fixture.information(2)).status, 1);
  await fixture.clock.step(1_001);
  assert.equal((await fixture.send(receiveCdb(0x07, 3, 99), new Uint8Array())).sense, "5/24/00");
});

test("more copies than may run at one time are told that the task set is full", async () => {
  const fixture = new Fixture({ limits: { concurrentCopiesMax: 1 } });
  const { promise, resolve } = Promise.withResolvers<void>();
  fixture.tokens.reads.push({ kind: "wait", until: promise });
  const first = fixture.populate([{ lba: 0, blocks: 1 }]);
  await turns();
  assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }], {}, {}, 7)).status, 0x28);
  resolve();
  await first;
  assert.equal((await fixture.populate([{ lba: 0, blocks: 1 }], {}, {}, 7)).status, 0);
});

const stops: Record<string, (fixture: Fixture, task: AbortController) => Promise<unknown>> = {
  "COPY OPERATION ABORT": (fixture) => fixture.send(abortCdb(2), new Uint8Array()),
  "an abort of the task": async (_fixture, task) => task.abort(),
  "a reset": (fixture) => fixture.manager.reset("all"),
};
for (const [name, stop] of Object.entries(stops)) {
  test(`${name} ends a copy with status 60h`, async () => {
    const fixture = new Fixture();
    const token = await fixture.token([{ lba: 0, blocks: 4 }]);
    fixture.tokens.writes.push({ kind: "wait", until: never });
    const task = new AbortController();
    const reply = fixture.write(token, [{ lba: 64, blocks: 4 }], {}, { signal: task.signal });
    await turns();
    await stop(fixture, task);
    assert.equal((await reply).sense, "a/00/06");
    const { status, blocks, delayMs } = await fixture.information(2);
    assert.deepEqual([status, blocks, delayMs], [0x60, 0, 0xfffffffe]);
  });
}

test("COPY OPERATION ABORT of nothing is an invalid field, of what has ended no error", async () => {
  const fixture = new Fixture();
  assert.equal((await fixture.send(abortCdb(2), new Uint8Array())).sense, "5/24/00");
  await fixture.populate([{ lba: 0, blocks: 1 }]);
  assert.equal((await fixture.send(abortCdb(1), new Uint8Array())).status, 0);
  assert.equal((await fixture.information(1)).status, 1);
});

test("the token is deleted behind a whole write that asks for it", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 4 }]);
  assert.equal((await fixture.write(token, [{ lba: 9, blocks: 5 }], { deleteToken: true })).status, 2);
  assert.equal(fixture.tokens.kept, 1);
  assert.equal((await fixture.write(token, [{ lba: 9, blocks: 4 }], { deleteToken: true })).status, 0);
  assert.equal(fixture.tokens.kept, 0);
});

test("a parameter list of no bytes is a good no-operation, one of zero blocks too", async () => {
  const fixture = new Fixture();
  for (const action of [0x10, 0x11] as const)
    assert.equal((await fixture.send(tokenCdb(action, 1, 0), new Uint8Array())).status, 0);
  for (const action of [0, 1] as const)
    assert.equal((await fixture.send(extendedCopyCdb(action, 0), new Uint8Array())).status, 0);
  assert.equal((await fixture.populate([{ lba: 5, blocks: 0 }])).status, 0);
  const { status, blocks, descriptorBytes } = await fixture.information(1);
  assert.deepEqual([status, blocks, descriptorBytes], [1, 0, 0]);
  assert.equal((await fixture.write(new Uint8Array(512), [{ lba: 5, blocks: 0 }])).status, 0);
});

test("REPORT ALL ROD TOKENS tells what identifies a token, never its secret", async () => {
  const fixture = new Fixture();
  const token = await fixture.token([{ lba: 0, blocks: 4 }]);
  const { dataIn } = await fixture.send(receiveCdb(0x08, 0, 4096), new Uint8Array());
  const report = Buffer.from(dataIn);
  assert.equal(report.readUInt32BE(0), report.length - 4);
  assert.equal(report.length, 8 + 96);
  assert.deepEqual(report.subarray(8, 24), token.subarray(0, 16));
  assert.equal(Number(report.readBigUInt64BE(8 + 56)), 2048);
});

test("REPORT ALL ROD TOKENS tells an initiator of its own tokens only, of all its sessions", async () => {
  const fixture = new Fixture();
  const nexus = nexusOf(3);
  const ids = async (initiator: string, number: number) => {
    const sent = { nexus: { ...nexusOf(number), initiator } };
    const { dataIn } = await fixture.send(receiveCdb(0x08, 0, 4096), new Uint8Array(), sent);
    const report = Buffer.from(dataIn);
    return Array.from({ length: (report.length - 8) / 96 }, (_, index) =>
      report.subarray(16 + 96 * index, 24 + 96 * index).toString("hex"),
    );
  };
  const token = await fixture.token([{ lba: 0, blocks: 4 }], { nexus });
  const id = token.subarray(8, 16).toString("hex");
  assert.deepEqual(await ids(nexus.initiator, 3), [id]);
  assert.deepEqual(await ids(nexus.initiator, 4), [id]);
  for (const other of ["iqn.x:other", "iqn.x:hos", "iqn.x:host2", `${nexus.initiator} #`])
    assert.deepEqual(await ids(other, 3), [], other);
});

test("RECEIVE ROD TOKEN INFORMATION gives a token to nobody but the session that asked for it", async () => {
  const fixture = new Fixture();
  await fixture.populate([{ lba: 0, blocks: 4 }]);
  const none = new Uint8Array();
  for (const cdb of [receiveCdb(0x07, 1, 4096), receiveCdb(0x05, 1, 4096)])
    assert.equal((await fixture.send(cdb, none, { nexus: nexusOf(2) })).sense, "5/24/00");
  assert.equal((await fixture.information(1)).descriptorBytes, 514);
});

const lists = { LID1: extendedCopyLid1List, LID4: extendedCopyLid4List } as const;
for (const [name, list] of Object.entries(lists)) {
  const action = name === "LID1" ? 0 : 1;
  const copy = (fixture: Fixture, segments: readonly Buffer[], fields: object = {}) => {
    const ends = [fixture.unit, fixture.other];
    const cscds = ends.map((unit) => identificationCscd(unit.designators[0]!, unit.blockBytes));
    const bytes = list({ cscds, segments, listId: 5, ...fields });
    return fixture.send(extendedCopyCdb(action, bytes.length), bytes);
  };
  const plain = { source: 0, destination: 1, blocks: 16, sourceLba: 8, destinationLba: 2 };

  for (const mode of ["tokens", "plain copying"] as const) {
    test(`EXTENDED COPY ${name} copies between units by ${mode}`, async () => {
      const fixture = new Fixture();
      await fixture.unit.device.write(8 * 512, Buffer.alloc(8192, 3), 0);
      if (mode === "plain copying") fixture.tokens.reads.push({ kind: "fail", code: "UNSUPPORTED" });
      assert.equal((await copy(fixture, [blockSegment(plain)])).status, 0);
      assert.deepEqual(await fixture.bytes(fixture.other, { lba: 2, blocks: 2 }), Buffer.alloc(8192, 3));
      assert.equal(fixture.tokens.kept, 0);
    });
  }

  test(`EXTENDED COPY ${name} counts in destination blocks where it is told so`, async () => {
    const fixture = new Fixture();
    await fixture.unit.device.write(8 * 512, Buffer.alloc(8192, 3), 0);
    assert.equal(
      (await copy(fixture, [blockSegment({ ...plain, blocks: 2, countDestination: true })])).status,
      0,
    );
    assert.deepEqual(await fixture.bytes(fixture.other, { lba: 2, blocks: 2 }), Buffer.alloc(8192, 3));
  });

  test(`EXTENDED COPY ${name} copies bytes at offsets behind blocks, and within the unit it was sent to`, async () => {
    const fixture = new Fixture();
    await fixture.unit.device.write(512 + 7, Buffer.from("rope"), 0);
    const segment = offsetSegment({
      ...{ source: 0xffff, destination: 0, sourceLba: 1, destinationLba: 4 },
      ...{ bytes: 4, sourceOffset: 7, destinationOffset: 3 },
    });
    assert.equal((await copy(fixture, [segment])).status, 0);
    const bytes = await fixture.bytes(fixture.unit, { lba: 4, blocks: 1 });
    assert.equal(bytes.subarray(3, 7).toString(), "rope");
  });

  const wrong: readonly (readonly [what: string, sense: string, segment: Buffer, fields?: object])[] = [
    ["an index that is not there", "a/08/04", blockSegment({ ...plain, source: 2 })],
    ["a range past the end", "a/00/00", blockSegment({ ...plain, sourceLba: 40_000 })],
    ["a length of no whole blocks", "a/26/0a", blockSegment({ ...plain, blocks: 1 })],
    ["a segment of another kind", "5/26/09", Buffer.from([3, ...new Array(27).fill(0)])],
    ["a CSCD of another kind", "5/26/07", blockSegment(plain), { cscds: [Buffer.alloc(32, 0xe1)] }],
    [
      "a unit that is not found",
      "a/0d/02",
      blockSegment({ ...plain, source: 0, destination: 0 }),
      { cscds: [identificationCscd(Buffer.from([1, 3, 0, 8, 9, 9, 9, 9, 9, 9, 9, 9]))] },
    ],
    ["too many CSCDs", "5/26/06", blockSegment(plain), { cscds: new Array(65).fill(Buffer.alloc(32)) }],
    ["too many segments", "5/26/08", Buffer.concat(new Array(257).fill(blockSegment(plain)))],
    [
      "a longer list than all descriptors may have",
      "5/1a/00",
      Buffer.concat(new Array(300).fill(blockSegment(plain))),
      { cscds: new Array(65).fill(Buffer.alloc(32)) },
    ],
    ["a use of the identifier that is reserved", "5/26/00", blockSegment(plain), { flags: 0x08 }],
  ];
  for (const [what, sense, segment, fields] of wrong) {
    test(`EXTENDED COPY ${name} with ${what} is ${sense}`, async () => {
      assert.equal((await copy(new Fixture(), [segment], fields)).sense, sense);
    });
  }

  test(`EXTENDED COPY ${name} whose list is cut short is a wrong parameter list length`, async () => {
    const fixture = new Fixture();
    const bytes = list({ cscds: [], segments: [blockSegment(plain)] });
    for (const length of [1, 15, bytes.length - 1])
      assert.equal(
        (await fixture.send(extendedCopyCdb(action, length), bytes.subarray(0, length))).sense,
        "5/1a/00",
      );
  });

  test(`EXTENDED COPY ${name} tells its status, and after an error its details once`, async () => {
    const fixture = new Fixture();
    assert.equal((await copy(fixture, [blockSegment(plain)])).status, 0);
    const status = (serviceAction: number) =>
      fixture.send(receiveCdb(serviceAction, 5, 4096), new Uint8Array());
    assert.equal(
      Buffer.from((await status(0x00)).dataIn).toString("hex"),
      "00000008" + "01" + "0001" + "f1" + "00000002",
    );
    const lid4 = Buffer.from((await status(0x05)).dataIn);
    assert.deepEqual([lid4.length, lid4[5], lid4.readUInt16BE(24)], [32, 1, 1]);
    assert.equal((await status(0x04)).sense, "5/24/00");
    await copy(fixture, [blockSegment(plain), blockSegment({ ...plain, source: 9 })]);
    assert.equal((await status(0x00)).dataIn[4], 2);
    const details = Buffer.from((await status(0x04)).dataIn);
    assert.deepEqual([details.readUInt16BE(58), senseText(details.subarray(60))], [18, "a/08/04"]);
    assert.equal((await status(0x04)).sense, "5/24/00");
  });
}

test("EXTENDED COPY within a unit is right where source and destination overlap", async () => {
  for (const [sourceLba, destinationLba] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const fixture = new Fixture({ limits: {} });
    const bytes = Buffer.from(Array.from({ length: 3 * MIB }, (_, index) => (index / 512) & 0xff));
    await fixture.unit.device.write(sourceLba * 512, bytes, 0);
    fixture.tokens.reads.push({ kind: "fail", code: "UNSUPPORTED" });
    const segment = blockSegment({
      source: 0xffff,
      destination: 0xffff,
      blocks: 6144,
      sourceLba,
      destinationLba,
    });
    const list = extendedCopyLid1List({ cscds: [], segments: [segment] });
    assert.equal((await fixture.send(extendedCopyCdb(0, list.length), list)).status, 0);
    assert.ok((await fixture.bytes(fixture.unit, { lba: destinationLba, blocks: 6144 })).equals(bytes));
  }
});

test("whatever bytes come, a command ends with a reply or a check condition, and nothing stays running", async () => {
  const actions = fc.constantFrom(0x00, 0x01, 0x10, 0x11, 0x1c, 0x03, 0x04, 0x05, 0x07, 0x08, 0x1f);
  const list = fc.oneof(
    fc.uint8Array({ maxLength: 700 }),
    fc
      .tuple(fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }), fc.boolean())
      .map(([changes, isWrite]) => {
        const ranges = [
          { lba: 1, blocks: 2 },
          { lba: 9, blocks: 3 },
        ];
        const bytes = isWrite
          ? writeUsingTokenList({ token: new Uint8Array(512), ranges })
          : populateTokenList({ ranges });
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        return Uint8Array.from(bytes);
      }),
  );
  const fixture = new Fixture();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0x83, 0x84),
      actions,
      fc.uint8Array({ maxLength: 14 }),
      list,
      async (...args) => {
        const [opcode, action, rest, dataOut] = args;
        const cdb = Uint8Array.from([opcode, action, ...rest]);
        if (cdb.length >= 14 && opcode === 0x83) new DataView(cdb.buffer).setUint32(10, dataOut.length);
        assert.ok(fixture.manager.dataOutBytes(cdb) <= 128 * 1024);
        const reply = await fixture.send(cdb, dataOut).catch((error) => {
          assert.ok(!(error instanceof AssertionFailed), String(error));
          throw error;
        });
        assert.ok(reply.status === 0 || reply.sense.length > 0);
      },
    ),
    { numRuns: 400 },
  );
  await fixture.manager.reset("all");
});

test("EXTENDED COPY lists that are nearly right end with a reply or a check condition", async () => {
  const fixture = new Fixture();
  const cscds = [fixture.unit, fixture.other].map(({ designators, blockBytes }) =>
    identificationCscd(designators[0]!, blockBytes),
  );
  const segments = [
    blockSegment({ source: 0, destination: 1, blocks: 16, sourceLba: 8, destinationLba: 2 }),
    blockSegment({ source: 1, destination: 0, blocks: 2, sourceLba: 8, destinationLba: 2 }),
  ];
  const changes = fc.array(fc.tuple(fc.nat(150), fc.oneof(fc.constantFrom(0, 1, 255), fc.nat(255))), {
    maxLength: 5,
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("LID1", "LID4"), changes, fc.nat(200), async (name, changed, cut) => {
      const whole = lists[name]({ cscds, segments, listId: 5 });
      for (const [at, value] of changed) if (at < whole.length) whole[at] = value;
      const bytes = cut < 20 ? whole.subarray(0, whole.length - cut) : whole;
      const reply = await fixture.send(extendedCopyCdb(name === "LID1" ? 0 : 1, bytes.length), bytes);
      assert.ok(reply.status === 0 || reply.sense.length > 0);
    }),
    { numRuns: 300 },
  );
  await fixture.manager.reset("all");
});
