/** The superblock slots as a running pool finds them on its disk: read beside the checkpointer that replaces them. */
import { type Disk, nextTurn } from "../../ports/mod.ts";
import { decodeSuperblock, SLOT_BYTES, SLOT_NAMES, type Superblock } from "../format/superblock.ts";
import type { PoolWorld } from "../world.ts";

export interface SlotContent {
  readonly name: string;
  /** Right after a pool was made its second slot is blank. */
  readonly blank: boolean;
  /** Undefined when it is blank or damaged. */
  readonly superblock: Superblock | undefined;
}

export async function slotContents({ disk, clock }: PoolWorld): Promise<SlotContent[]> {
  const slots: SlotContent[] = [];
  for (const name of SLOT_NAMES) {
    let slot = await slotContent(disk, name);
    if (!slot.blank && slot.superblock === undefined) {
      // It may have been read in the very moment in which it was written.
      await nextTurn(clock);
      slot = await slotContent(disk, name);
    }
    slots.push(slot);
  }
  return slots;
}

/** The slot of the newest checkpoint; undefined when neither can be read. */
export function newestOf(slots: readonly SlotContent[]): Superblock | undefined {
  let newest: Superblock | undefined;
  for (const { superblock } of slots)
    if (superblock !== undefined && superblock.checkpoint > (newest?.checkpoint ?? -1)) newest = superblock;
  return newest;
}

async function slotContent(disk: Disk, name: string): Promise<SlotContent> {
  const file = await disk.open(name);
  const bytes = new Uint8Array(SLOT_BYTES);
  try {
    await file.read(0, bytes, 0, SLOT_BYTES);
  } finally {
    await file.close();
  }
  return { name, blank: bytes.every((byte) => byte === 0), superblock: decodeSuperblock(bytes) };
}
