// A file copy of 10 GiB as Windows' class driver does it: what it reads of the unit first and how it checks that, one
// token for each 256 MiB, at most 64 ranges a command, clamped by page B0h, and every answer checked as it does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CopySession, patternBytes } from "../support/copy-session.ts";
import { COPY_VOLUMES, CopyTarget } from "../support/copy-target.ts";
import { needsLibiscsi } from "../support/iscsi-initiator.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PIECE_BYTES = 256 * MIB;
const FILE_BYTES = 10 * GIB;
const RANGES_MAX = 64;
const COMMAND_MS_MAX = 4_000;
/** The driver takes these for success, 02h and 60h for a failure; at any other it asks again. */
const FINAL = [0x01, 0x03];

interface OffloadLimits {
  readonly rangesMax: number;
  readonly tokenBlocksMax: number;
  /** Of one range of a write. */
  readonly rangeBlocksMax: number;
}

/** What the driver learns of the unit; token copies are off for it where a check fails. */
async function discover(session: CopySession): Promise<OffloadLimits> {
  const pages = [...(await session.page(0x00)).subarray(4)];
  assert.deepEqual(
    pages,
    [...new Set(pages)].toSorted((a, b) => a - b),
    "page codes ascend strictly",
  );
  for (const page of [0x8f, 0xb0, 0xb1, 0xb2]) assert.ok(pages.includes(page), page.toString(16));

  const thirdParty = await session.page(0x8f);
  assert.ok(thirdParty.readUInt16BE(2) >= 36);
  assert.equal(thirdParty.readUInt16BE(4), 0x0000, "the limits of ROD tokens come first");
  assert.equal(thirdParty.readUInt16BE(6), 0x20);
  const limits = thirdParty.subarray(4);

  const blockLimits = await session.page(0xb0);
  assert.ok(blockLimits.readUInt16BE(2) >= 0x3c);
  const granularityBlocks = Math.max(1, blockLimits.readUInt16BE(6));
  const transferBlocks = blockLimits.readUInt32BE(12) || blockLimits.readUInt32BE(8);
  const rangeBlocksMax = transferBlocks - (transferBlocks % granularityBlocks);
  assert.ok(rangeBlocksMax * session.blockBytes >= MIB, "small ranges make many commands");
  return {
    rangesMax: Math.min(RANGES_MAX, limits.readUInt16BE(10)),
    tokenBlocksMax: Number(limits.readBigUInt64BE(20)),
    rangeBlocksMax,
  };
}

async function inTime<Result>(work: Promise<Result>): Promise<Result> {
  const startMs = performance.now();
  const result = await work;
  assert.ok(performance.now() - startMs < COMMAND_MS_MAX);
  return result;
}

/** The driver's counter of list identifiers, for all disks. */
let lastListId = 0;

interface Piece {
  readonly fromLba: number;
  readonly toLba: number;
  readonly blocks: number;
}

/** Copies one piece; returns the commands that it took. */
async function copyPiece(session: CopySession, limits: OffloadLimits, piece: Piece): Promise<number> {
  assert.ok(piece.blocks <= limits.tokenBlocksMax);
  const populateId = ++lastListId;
  const ranges = [{ lba: piece.fromLba, blocks: piece.blocks }];
  assert.equal(await inTime(session.populate({ ranges }, populateId)), "good");
  const { status, descriptorBytes, blocks, token } = await session.information(populateId);
  assert.ok(FINAL.includes(status), `status ${status}`);
  assert.equal(descriptorBytes, 514);
  assert.equal(blocks, piece.blocks);
  let commands = 2;
  for (let done = 0; done < piece.blocks; ) {
    const writes = [];
    let asked = 0;
    while (done + asked < piece.blocks && writes.length < limits.rangesMax) {
      const length = Math.min(limits.rangeBlocksMax, piece.blocks - done - asked);
      writes.push({ lba: piece.toLba + done + asked, blocks: length });
      asked += length;
    }
    const writeId = ++lastListId;
    const write = { token: token!, ranges: writes, offsetBlocks: done };
    assert.equal(await inTime(session.writeUsing(write, writeId)), "good");
    const information = await session.information(writeId);
    assert.ok(FINAL.includes(information.status), `status ${information.status}`);
    assert.equal(information.blocks, asked, "good means all of it");
    done += asked;
    commands += 2;
  }
  return commands;
}

for (const volume of COPY_VOLUMES) {
  test(`${volume}: a file of 10 GiB is copied by tokens, with nothing moved`, needsLibiscsi(), async () => {
    await using target = await CopyTarget.start({ sizeBytes: 24 * GIB });
    const session = await target.connect(volume);
    const { blockBytes } = session;
    const limits = await discover(session);
    const from = GIB / blockBytes;
    const to = (12 * GIB) / blockBytes;
    const spots = [0, PIECE_BYTES - MIB / 2, 3 * GIB + 4096, FILE_BYTES - MIB].map(
      (offset) => offset / blockBytes,
    );
    for (const [seed, spot] of spots.entries()) await session.write(from + spot, patternBytes(MIB, seed));
    const writtenBefore = target.pool.counters.clientBytesWritten;
    let commands = 0;
    for (let done = 0; done < FILE_BYTES / blockBytes; done += PIECE_BYTES / blockBytes) {
      const piece = { fromLba: from + done, toLba: to + done, blocks: PIECE_BYTES / blockBytes };
      commands += await copyPiece(session, limits, piece);
    }
    const writes = Math.ceil(PIECE_BYTES / (limits.rangesMax * limits.rangeBlocksMax * blockBytes));
    assert.equal(commands, (FILE_BYTES / PIECE_BYTES) * (2 + 2 * writes));
    assert.equal(target.pool.counters.clientBytesWritten, writtenBefore);
    for (const [seed, spot] of spots.entries()) {
      const found = await session.read({ lba: to + spot, blocks: MIB / blockBytes });
      assert.ok(found.equals(patternBytes(MIB, seed)), `at ${spot}`);
    }
  });
}
