/**
 * The fields that all commands on ranges of blocks share (SBC-3, clause 5): address, length and flags.
 *
 * Always holds: the CDB has at least sixteen bytes; an address of 64 bits above 2^53 loses its low bits, which is
 * harmless, since it is beyond every unit.
 *
 * | length of CDB | address | blocks |
 * | ------------- | ------- | ------ |
 * | 6             | 1–3 (21 bits) | 4, where 0 means 256 |
 * | 10            | 2–5     | 7–8    |
 * | 12            | 2–5     | 6–9    |
 * | 16            | 2–9     | 10–13; COMPARE AND WRITE 13; WRITE ATOMIC 12–13 |
 */

import { Operation } from "./operation.ts";

export const CDB_BYTES = 16;

export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

/** Bits of byte 1 in all but the six byte commands. */
export const BlockFlag = { dpo: 0x10, fua: 0x08, anchor: 0x10, unmap: 0x08, noDataOut: 0x01 } as const;

/** How long the CDB of an opcode is; the groups of SPC-4, 4.2.5.1. Variable and vendor's lengths count as sixteen. */
export function cdbBytes(opcode: number): number {
  const group = opcode >> 5;
  if (group === 0) return 6;
  if (group <= 2) return 10;
  return group === 5 ? 12 : CDB_BYTES;
}

/** Address and length of a command on a range of blocks. */
export function blockRange(cdb: Uint8Array): BlockRange {
  const opcode = cdb[0]!;
  switch (cdbBytes(opcode)) {
    case 6: {
      const lba = ((cdb[1]! & 0x1f) << 16) | (cdb[2]! << 8) | cdb[3]!;
      return { lba, blocks: cdb[4] === 0 ? 256 : cdb[4]! };
    }
    case 10:
      return { lba: uint32(cdb, 2), blocks: uint16(cdb, 7) };
    case 12:
      return { lba: uint32(cdb, 2), blocks: uint32(cdb, 6) };
    default:
      return { lba: uint64(cdb, 2), blocks: blocksOfSixteen(opcode, cdb) };
  }
}

/** BYTCHK of VERIFY and WRITE AND VERIFY: 0 to 3. */
export function byteCheck(cdb: Uint8Array): number {
  return (cdb[1]! >> 1) & 3;
}

export function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 0x100 + bytes[at + 1]!;
}

export function uint32(bytes: Uint8Array, at: number): number {
  return uint16(bytes, at) * 0x10000 + uint16(bytes, at + 2);
}

export function uint64(bytes: Uint8Array, at: number): number {
  return uint32(bytes, at) * 0x1_0000_0000 + uint32(bytes, at + 4);
}

function blocksOfSixteen(opcode: number, cdb: Uint8Array): number {
  if (opcode === Operation.compareAndWrite) return cdb[13]!;
  return opcode === Operation.writeAtomic16 ? uint16(cdb, 12) : uint32(cdb, 10);
}
