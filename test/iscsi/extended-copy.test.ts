// EXTENDED COPY over iSCSI: what a hypervisor sends to clone disks within an array, and what it may ask before.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  blockSegment,
  extendedCopyCdb,
  extendedCopyLid1List,
  extendedCopyLid4List,
  identificationCscd,
  offsetSegment,
} from "../support/copy-commands.ts";
import { type CopySession, outcome, patternBytes } from "../support/copy-session.ts";
import { CopyTarget } from "../support/copy-target.ts";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";

describe("EXTENDED COPY over iSCSI", needsLibiscsi(), () => {
  let target: CopyTarget;
  let small: CopySession;
  let large: CopySession;

  before(async () => {
    target = await CopyTarget.start();
    small = await target.connect("small");
    large = await target.connect("large");
  });
  after(() => target[Symbol.asyncDispose]());

  /** The unit's own name of type NAA, as page 83h tells it. */
  async function naaOf(session: CopySession): Promise<Buffer> {
    const page = await session.page(0x83);
    for (let at = 4; at < page.length; at += 4 + page[at + 3]!) {
      const descriptor = page.subarray(at, at + 4 + page[at + 3]!);
      if ((descriptor[1]! & 0x3f) === 0x03) return descriptor;
    }
    throw new Error("the unit has no NAA name");
  }

  async function copy(segments: readonly Uint8Array[], { isLid4 = false, listId = 0 } = {}): Promise<string> {
    const cscds = [identificationCscd(await naaOf(small), 512), identificationCscd(await naaOf(large), 4096)];
    const dataOut = (isLid4 ? extendedCopyLid4List : extendedCopyLid1List)({ listId, cscds, segments });
    const cdb = extendedCopyCdb(isLid4 ? 1 : 0, dataOut.length);
    return outcome(await small.initiator.command({ cdb, dataOut }));
  }

  test("INQUIRY says that copies for others are made (3PC)", async () => {
    const reply = await small.initiator.command({
      cdb: Uint8Array.of(0x12, 0, 0, 0, 96, 0),
      dataInBytes: 96,
    });
    assert.equal(reply.dataIn[5]! & 0x08, 0x08);
  });

  for (const isLid4 of [false, true]) {
    const form = isLid4 ? "LID4" : "LID1";
    test(`${form}: blocks go within a unit, and from one to another of other blocks`, async () => {
      const data = patternBytes(64 * 512, 1);
      await small.write(8, data);
      const shared = { source: 0, blocks: 64, sourceLba: 8 };
      const segments = [
        blockSegment({ ...shared, destination: 0, destinationLba: 1_000 }),
        blockSegment({ ...shared, destination: 1, destinationLba: 20 }),
      ];
      assert.equal(await copy(segments, { isLid4 }), "good");
      assert.ok((await small.read({ lba: 1_000, blocks: 64 })).equals(data));
      assert.ok((await large.read({ lba: 20, blocks: 8 })).equals(data));
    });

    test(`${form}: bytes go from an offset to an offset`, async () => {
      const data = patternBytes(4096, 2);
      await small.write(0, data);
      const ends = { source: 0, destination: 1, sourceLba: 0, destinationLba: 5 };
      const segment = offsetSegment({ ...ends, bytes: 1_000, sourceOffset: 24, destinationOffset: 48 });
      assert.equal(await copy([segment], { isLid4 }), "good");
      const found = await large.read({ lba: 5, blocks: 1 });
      assert.ok(found.subarray(48, 1_048).equals(data.subarray(24, 1_024)));
    });

    test(`${form}: the copy that fails tells which segments were done`, async () => {
      const good = { source: 0, destination: 0, blocks: 8, sourceLba: 0, destinationLba: 100 };
      const segments = [blockSegment(good), blockSegment({ ...good, source: 7 }), blockSegment(good)];
      assert.equal(await copy(segments, { isLid4, listId: 9 }), "a/08/04");
      const status = Buffer.from((await small.receive(0x00, 9)).dataIn);
      assert.deepEqual([status[4], status.readUInt16BE(5), status.readUInt32BE(8)], [2, 1, 8]);
      const details = Buffer.from((await small.receive(0x04, 9)).dataIn);
      assert.equal(details[56], 2);
    });
  }

  test("a unit that is not here is not reachable, COPY ABORTED", async () => {
    const name = Buffer.from(await naaOf(small));
    name[11]! ^= 1;
    const segment = blockSegment({ source: 0, destination: 0, blocks: 1, sourceLba: 0, destinationLba: 1 });
    const dataOut = extendedCopyLid1List({ cscds: [identificationCscd(name)], segments: [segment] });
    const reply = await small.initiator.command({ cdb: extendedCopyCdb(0, dataOut.length), dataOut });
    assert.equal(outcome(reply), "a/0d/02");
  });

  test("the operating parameters are those of page 8Fh", async () => {
    const parameters = Buffer.from((await small.receive(0x03, 0)).dataIn);
    assert.equal(parameters.readUInt32BE(0), parameters.length - 4);
    assert.deepEqual([...parameters.subarray(44)], [0x02, 0x0a, 0xe4]);
    assert.ok(parameters.readUInt16BE(8) >= 2 && parameters.readUInt16BE(10) >= 1);
    assert.ok(parameters.readUInt32BE(16) >= 4 * 2 ** 20);
  });

  test("copies of 4 MiB, one segment after another, clone a disk", async () => {
    const blocks = 8_192;
    const data = patternBytes(blocks * 512, 3);
    await small.write(0, data);
    for (let lba = 0; lba < blocks; lba += 1_024) {
      const segment = blockSegment({
        ...{ source: 0, destination: 0, blocks: 1_024 },
        ...{ sourceLba: lba, destinationLba: lba + 16_384 },
      });
      assert.equal(await copy([segment]), "good");
    }
    assert.ok((await small.read({ lba: 16_384, blocks })).equals(data));
    assert.equal(target.tokens.list().filter(({ state }) => state === "valid").length, 0);
  });
});
