/**
 * VERIFY (10) to (16), COMPARE AND WRITE and ORWRITE (16) (SBC-3, 5.3, 5.7 and 5.29).
 *
 * Always holds: what reads and then writes does so alone in its range; COMPARE AND WRITE is one request of the device; a
 * comparison that fails says at which byte, and changes nothing.
 */

import { Buffer } from "node:buffer";
import {
  BlockFlag,
  blockRange,
  byteCheck,
  CheckCondition,
  illegal,
  invalidCdbField,
  Operation,
  SenseKey,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { type Answer, type CommandEntry, checkDataOutBytes, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import type { ByteSpan } from "./range-lock.ts";
import { lengthByte } from "./read-commands.ts";
import { transferBytes, wholeBlocks } from "./write-commands.ts";

/** So much is read and compared at a time. */
const PIECE_BYTES = 1024 * 1024;

const verifying = { access: "read", dataOutBytes: verifyBytes, run: verify } as const;
const modifying = { access: "change", changesMedium: true } as const;

export const COMPARE_COMMANDS: readonly CommandEntry[] = [
  { ...verifying, opcode: Operation.verify10, usage: usage("2f 16 ff ff ff ff 1f ff ff 00") },
  { ...verifying, opcode: Operation.verify12, usage: usage("af 16 ff ff ff ff ff ff ff ff 1f 00") },
  {
    ...verifying,
    opcode: Operation.verify16,
    usage: usage("8f 16 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
  },
  {
    ...modifying,
    opcode: Operation.compareAndWrite,
    usage: usage("89 18 ff ff ff ff ff ff ff ff 00 00 00 ff 1f 00"),
    dataOutBytes: (cdb, unit) => 2 * blockRange(cdb).blocks * unit.blockBytes,
    run: compareAndWrite,
  },
  {
    ...modifying,
    opcode: Operation.orWrite16,
    usage: usage("8b 18 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
    dataOutBytes: transferBytes,
    run: orWrite,
  },
];

function verifyBytes(cdb: Uint8Array, unit: LogicalUnit): number {
  switch (byteCheck(cdb)) {
    case 1:
      return transferBytes(cdb, unit);
    case 3:
      return blockRange(cdb).blocks === 0 ? 0 : unit.blockBytes;
    default:
      return 0;
  }
}

function verify(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): Answer {
  const range = blockRange(cdb);
  const check = byteCheck(cdb);
  if (check === 2) throw invalidCdbField(1, 2);
  unit.checkTransfer(range, lengthByte(cdb));
  if (range.blocks === 0) return GOOD;
  const span = unit.span(range);
  if (check === 0) return readThrough(unit, span);
  if (check === 1) {
    const expected = wholeBlocks(unit, dataOut, range.blocks);
    const compared = { offsetBytes: span.offsetBytes, lengthBytes: expected.length };
    return compareWithDevice(unit, compared, (at, length) => expected.subarray(at, at + length));
  }
  if (dataOut.length < unit.blockBytes) throw invalidCdbField(1, 2);
  const repeated = Buffer.alloc(
    Math.min(PIECE_BYTES, span.lengthBytes),
    dataOut.subarray(0, unit.blockBytes),
  );
  return compareWithDevice(unit, span, (_at, length) => repeated.subarray(0, length));
}

/** Reads the range, which checks its checksums, and drops it. */
async function readThrough(unit: LogicalUnit, span: ByteSpan) {
  for (const piece of pieces(span)) await unit.access.read(piece);
  return GOOD;
}

/** Compares the range with what is expected `at` bytes behind its start; `at` is a multiple of the pieces' length. */
export async function compareWithDevice(
  unit: LogicalUnit,
  span: ByteSpan,
  expected: (at: number, length: number) => Uint8Array,
) {
  for (const piece of pieces(span)) {
    const found = await unit.access.read(piece);
    const at = piece.offsetBytes - span.offsetBytes;
    const difference = firstDifference(found, expected(at, piece.lengthBytes));
    if (difference !== undefined) throw miscompare(at + difference);
  }
  return GOOD;
}

function* pieces(span: ByteSpan): Generator<ByteSpan> {
  for (let at = 0; at < span.lengthBytes; at += PIECE_BYTES) {
    const lengthBytes = Math.min(PIECE_BYTES, span.lengthBytes - at);
    yield { offsetBytes: span.offsetBytes + at, lengthBytes };
  }
}

function firstDifference(found: Uint8Array, expected: Uint8Array): number | undefined {
  if (Buffer.compare(found, expected) === 0) return undefined;
  const difference = found.findIndex((byte, at) => byte !== expected[at]);
  return difference === -1 ? found.length : difference;
}

/** MISCOMPARE DURING VERIFY OPERATION; the information field says how many bytes were alike. */
function miscompare(offsetBytes: number): CheckCondition {
  return new CheckCondition(SenseKey.miscompare, 0x1d, 0x00, { information: offsetBytes });
}

function compareAndWrite(unit: LogicalUnit, command: ScsiCommand): Answer {
  const { cdb, dataOut } = command;
  const range = blockRange(cdb);
  unit.checkRange(range);
  if (range.blocks > unit.limits.compareBlocksMax) throw invalidCdbField(13, 7);
  const span = unit.span(range);
  checkDataOutBytes(command, 2 * span.lengthBytes);
  if (range.blocks === 0) return GOOD;
  const expected = dataOut.subarray(0, span.lengthBytes);
  const replacement = dataOut.subarray(span.lengthBytes, 2 * span.lengthBytes);
  const durability = unit.durability((cdb[1]! & BlockFlag.fua) !== 0);
  return unit.locks.run(span, "exclusive", async () => {
    const difference = firstDifference(await unit.access.read(span), expected);
    if (difference !== undefined) throw miscompare(difference);
    await unit.access.write(span.offsetBytes, replacement, durability);
    return GOOD;
  });
}

function orWrite(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): Answer {
  const range = blockRange(cdb);
  unit.checkTransfer(range, lengthByte(cdb));
  const data = wholeBlocks(unit, dataOut, range.blocks);
  if (data.length === 0) return GOOD;
  // Less than all of it would be another operation than the one that was asked for.
  if (data.length < range.blocks * unit.blockBytes) throw illegal(0x24, 0x00, { byte: 10 });
  const span = unit.span(range);
  const durability = unit.durability((cdb[1]! & BlockFlag.fua) !== 0);
  return unit.locks.run(span, "exclusive", async () => {
    const found = await unit.access.read(span);
    for (let at = 0; at < found.length; at++) found[at] = found[at]! | data[at]!;
    await unit.access.write(span.offsetBytes, found, durability);
    return GOOD;
  });
}
