/**
 * WRITE SAME (10) and (16), UNMAP and GET LBA STATUS (SBC-3, 5.5, 5.28, 5.45 and 5.46).
 *
 * Always holds: unmapped blocks read as zeros where the unit says so (LBPRZ); a pattern is written in pieces, and
 * stops when the task was aborted.
 */

import { Buffer } from "node:buffer";
import { RopewalkError } from "../../../base/errors.ts";
import type { Extent } from "../../../device/mod.ts";
import {
  BlockFlag,
  type BlockRange,
  blockRange,
  cdbBytes,
  illegal,
  invalidCdbField,
  invalidParameter,
  LBA_STATUS_BYTES,
  LBA_STATUS_HEADER_BYTES,
  type LbaStatus,
  lbaStatusData,
  Operation,
  type ProvisioningStatus,
  parseUnmapList,
  ServiceActionIn16,
  uint32,
  uint64,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";
import {
  type Answer,
  type CommandEntry,
  checkDataOutBytes,
  dataReply,
  GOOD,
  goodAfter,
  usage,
} from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { lengthByte } from "./read-commands.ts";
import { listBytesAt7 } from "./write-commands.ts";

/** So much of a pattern is written at a time. */
const PATTERN_BYTES = 1024 * 1024;
const EXTENTS_MAX = 4096;
const BLOCKS_MAX = 0xffffffff;

const modifying = { access: "change", changesMedium: true } as const;

export const PROVISIONING_COMMANDS: readonly CommandEntry[] = [
  {
    ...modifying,
    opcode: Operation.writeSame10,
    usage: usage("41 18 ff ff ff ff 1f ff ff 00"),
    dataOutBytes: (_cdb, unit) => unit.blockBytes,
    run: writeSame,
  },
  {
    ...modifying,
    opcode: Operation.writeSame16,
    usage: usage("93 19 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
    dataOutBytes: (cdb, unit) => ((cdb[1]! & BlockFlag.noDataOut) === 0 ? unit.blockBytes : 0),
    run: writeSame,
  },
  {
    ...modifying,
    opcode: Operation.unmap,
    usage: usage("42 01 00 00 00 00 1f ff ff 00"),
    dataOutBytes: listBytesAt7,
    run: unmap,
  },
  {
    opcode: Operation.serviceActionIn16,
    serviceAction: ServiceActionIn16.getLbaStatus,
    usage: usage("9e 12 ff ff ff ff ff ff ff ff ff ff ff ff 00 00"),
    access: "read",
    run: getLbaStatus,
  },
];

function writeSame(unit: LogicalUnit, command: ScsiCommand): Answer {
  const { cdb, dataOut, signal } = command;
  const flags = cdb[1]!;
  if ((flags & BlockFlag.anchor) !== 0) throw invalidCdbField(1, 4);
  const range = blockRange(cdb);
  unit.checkRange(range);
  if (range.blocks === 0) throw invalidCdbField(lengthByte(cdb), 7);
  if (range.blocks > unit.limits.writeSameBlocksMax) throw invalidCdbField(lengthByte(cdb), 7);
  const hasData = cdbBytes(cdb[0]!) === 10 || (flags & BlockFlag.noDataOut) === 0;
  checkDataOutBytes(command, hasData ? unit.blockBytes : 0);
  const block = hasData ? dataOut.subarray(0, unit.blockBytes) : undefined;
  const isZero = block === undefined || block.every((byte) => byte === 0);
  const { isThin, readsZeros } = unit.access.provisioning;
  const unmaps = (flags & BlockFlag.unmap) !== 0 && isThin && readsZeros;
  const span = unit.span(range);
  return unit.locks.run(span, "shared", () => {
    const durability = unit.durability(false);
    if (!isZero) return writePattern(unit, span.offsetBytes, span.lengthBytes, block!, signal);
    return goodAfter(unmaps ? unit.access.unmap(span, durability) : unit.access.zero(span, durability));
  });
}

async function writePattern(
  unit: LogicalUnit,
  offset: number,
  length: number,
  block: Uint8Array,
  signal: AbortSignal,
): Promise<ScsiReply> {
  const pattern = Buffer.alloc(Math.min(PATTERN_BYTES, length), block);
  for (let at = 0; at < length; at += pattern.length) {
    if (signal.aborted) throw new RopewalkError("CANCELLED", "The task was aborted; what was written stays.");
    const piece = pattern.subarray(0, Math.min(pattern.length, length - at));
    await unit.access.write(offset + at, piece, unit.durability(false));
  }
  return GOOD;
}

function unmap(unit: LogicalUnit, { cdb, dataOut, signal }: ScsiCommand): Answer {
  // ANCHOR: the unit has no anchored blocks.
  if ((cdb[1]! & 0x01) !== 0) throw invalidCdbField(1, 0);
  if (!unit.access.provisioning.isThin) throw illegal(0x20, 0x00, { byte: 0 });
  const ranges = parseUnmapList(dataOut.subarray(0, listBytesAt7(cdb)));
  for (const range of ranges) unit.checkRange(range);
  const total = ranges.reduce((sum, range) => sum + range.blocks, 0);
  if (total > BLOCKS_MAX) throw invalidParameter(8);
  return unmapRanges(unit, ranges, signal);
}

async function unmapRanges(
  unit: LogicalUnit,
  ranges: readonly BlockRange[],
  signal: AbortSignal,
): Promise<ScsiReply> {
  for (const range of ranges) {
    if (range.blocks === 0) continue;
    if (signal.aborted)
      throw new RopewalkError("CANCELLED", "The task was aborted; what was unmapped stays so.");
    const span = unit.span(range);
    await unit.locks.run(span, "shared", () => unit.access.unmap(span, unit.durability(false)));
  }
  return GOOD;
}

function getLbaStatus(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  const lba = uint64(cdb, 2);
  unit.checkRange({ lba, blocks: 1 });
  const allocationBytes = uint32(cdb, 10);
  const fitting = Math.floor((allocationBytes - LBA_STATUS_HEADER_BYTES) / LBA_STATUS_BYTES);
  const descriptorsMax = Math.min(EXTENTS_MAX, Math.max(1, fitting));
  const reply = (extents: readonly Extent[]) =>
    dataReply(lbaStatusData(statuses(unit, lba, extents).slice(0, descriptorsMax)), allocationBytes);
  const span = unit.span({ lba, blocks: unit.capacityBlocks - lba });
  if (unit.device.capabilities.extents === "absent") {
    return reply([{ ...span, kind: "data" }]);
  }
  // Adjacent extents of other kinds become one descriptor, so more of them are asked for.
  const extents = unit.device.extents(
    span.offsetBytes,
    span.lengthBytes,
    Math.min(EXTENTS_MAX, 2 * descriptorsMax + 1),
  );
  return extents instanceof Promise ? extents.then(reply) : reply(extents);
}

/** Blocks that are holes as a whole are deallocated, all others are mapped. */
function statuses(unit: LogicalUnit, start: number, extents: readonly Extent[]): LbaStatus[] {
  const found: LbaStatus[] = [];
  let lba = start;
  const add = (end: number, status: ProvisioningStatus) => {
    while (lba < end) {
      const last = found.at(-1);
      if (last !== undefined && last.status === status && last.blocks < BLOCKS_MAX) {
        const more = Math.min(end - lba, BLOCKS_MAX - last.blocks);
        found[found.length - 1] = { ...last, blocks: last.blocks + more };
        lba += more;
      } else {
        const blocks = Math.min(end - lba, BLOCKS_MAX);
        found.push({ lba, blocks, status });
        lba += blocks;
      }
    }
  };
  let endBytes = 0;
  for (const { offsetBytes, lengthBytes, kind } of extents) {
    endBytes = offsetBytes + lengthBytes;
    if (kind !== "hole") continue;
    const first = Math.ceil(offsetBytes / unit.blockBytes);
    const last = Math.floor(endBytes / unit.blockBytes);
    if (last <= first) continue;
    add(first, "mapped");
    add(Math.min(last, unit.capacityBlocks), "deallocated");
  }
  add(Math.min(Math.max(start + 1, Math.floor(endBytes / unit.blockBytes)), unit.capacityBlocks), "mapped");
  return found;
}
