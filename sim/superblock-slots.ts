/** The two superblock slots on a simulated platter, read as docs/formats/superblock.md describes them. */
import { checksum } from "../src/base/checksum.ts";
import type { SimulatedFile } from "./simulated-file.ts";

export const slotBytes = 512;

/** The slot of the later checkpoint, if both slots are whole and their checkpoints differ. */
export function newerOfTwoSlots(names: ReadonlyMap<string, SimulatedFile>): SimulatedFile | undefined {
  const [first, second] = ["superblock-0", "superblock-1"].map((name) => names.get(name));
  if (first === undefined || second === undefined) return undefined;
  const [firstNumber, secondNumber] = [checkpointIn(first), checkpointIn(second)];
  if (firstNumber === undefined || secondNumber === undefined || firstNumber === secondNumber)
    return undefined;
  return firstNumber > secondNumber ? first : second;
}

/** Number of the checkpoint that a slot points to; undefined when the slot is damaged or was never written. */
function checkpointIn(slot: SimulatedFile): bigint | undefined {
  const bytes = Buffer.from(slot.durableBytes().subarray(0, slotBytes));
  const sum = bytes.readUInt32LE(4);
  bytes.writeUInt32LE(0, 4);
  return checksum(bytes) === sum ? bytes.readBigUInt64LE(24) : undefined;
}
