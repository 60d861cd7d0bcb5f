/**
 * The pieces that each checkpoint writes anew: its root, the directories of the two tables, the catalogue and the
 * drop-list. The running pool never reads them again; the next open needs them all.
 */
import { RopewalkError } from "../../base/errors.ts";
import { decodeRoot } from "../checkpoint/checkpoint-root.ts";
import type { MetadataStore } from "../checkpoint/metadata-store.ts";
import type { Superblock } from "../format/superblock.ts";

/** A sentence for each of the checkpoint's pieces that does not match its checksum. */
export async function damagedPieces(
  store: MetadataStore,
  { checkpoint, root }: Superblock,
): Promise<string[]> {
  const damaged: string[] = [];
  const read = async <Content>(what: string, reading: () => Promise<Content>) => {
    try {
      return await reading();
    } catch (error) {
      if (!(error instanceof RopewalkError)) throw error;
      damaged.push(`the ${what} of checkpoint ${checkpoint}: ${error.message}`);
      return undefined;
    }
  };
  const decoded = await read("root", async () => decodeRoot(await store.read(root)));
  if (decoded === undefined) return damaged;
  for (const [what, place] of [
    ["node table's directory", decoded.nodeDirectory],
    ["segment table's directory", decoded.segmentDirectory],
    ["catalogue", decoded.catalogue],
    ["drop-list", decoded.reclaim],
  ] as const)
    await read(what, () => store.read(place));
  return damaged;
}
