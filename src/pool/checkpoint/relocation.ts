/**
 * Relocation: the live pieces of the emptiest metadata segments move, so that these segments become free.
 *
 * Always holds: pieces are copied as they are, and a place changes only if it is still the one that was read.
 * A damaged piece stays where it is, for scrub to name. NO_SPACE, and what reading throws.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Segment } from "../log/segment.ts";
import { nodeIndex } from "../map/node-table.ts";

/** Metadata segments with less than this share live are emptied, a few pieces with each checkpoint. */
const EMPTY_BELOW = 0.5;
const RELOCATE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Moves the live pieces out of the emptiest metadata segments, a bounded number with each checkpoint: nodes and owner
 * pages now, table pages with the checkpoint that follows.
 */
export async function relocate({ nodes, segments, store, cache, slices }: Engine): Promise<void> {
  const victims = emptiest({ segments, store });
  if (victims.size === 0) return;
  for (let index = 0; index < nodes.bound; index += 1) {
    if (slices.isOver) await slices.next();
    const id = nodes.idAt(index);
    if (id === 0 || !victims.has(nodes.placeSegment(id))) continue;
    if (cache.get(id)?.dirty) continue;
    const old = nodes.place(id);
    let words: Uint32Array;
    try {
      words = store.readNow(old)?.slice() ?? (await store.read(old));
    } catch (error) {
      // A damaged piece stays where it is, for scrub to name.
      if (error instanceof RopewalkError && error.code === "CHECKSUM_MISMATCH") continue;
      throw error;
    }
    await store.makeRoom(words.length);
    if (nodes.idAt(nodeIndex(id)) !== id) continue;
    const now = nodes.place(id);
    if (now.segment !== old.segment || now.offset !== old.offset) continue;
    nodes.setPlace(id, store.put(words, words.length));
    store.free(old.segment, old.length);
  }
  for (const table of [nodes.table, segments.table]) {
    table.places.forEach((place, pageNumber) => {
      if (place !== undefined && victims.has(place.segment)) table.markPageDirty(pageNumber);
    });
  }
  for (const segment of segments.all.values()) {
    if (segment.row < 0) continue;
    const old = segments.ownersPlace(segment);
    if (old === undefined || !victims.has(old.segment)) continue;
    let words: Uint32Array;
    try {
      words = await store.read(old);
    } catch (error) {
      if (error instanceof RopewalkError && error.code === "CHECKSUM_MISMATCH") continue;
      throw error;
    }
    await store.makeRoom(words.length);
    if (segment.row < 0 || segments.ownersPlace(segment)?.offset !== old.offset) continue;
    segments.setOwnersPlace(segment, store.put(words, words.length));
    store.free(old.segment, old.length);
  }
}

/** Numbers of the metadata segments to empty with this checkpoint. */
function emptiest({ segments, store }: Pick<Engine, "segments" | "store">): Set<number> {
  const capacity = segments.segmentBytes;
  const candidates: Segment[] = [];
  for (const segment of segments.all.values()) {
    if (
      segment.kind !== SegmentKind.metadata ||
      segment === store.segment ||
      segment.freedAt !== 0 ||
      !segment.sealed
    )
      continue;
    if (segment.metadataLive > 0 && segment.metadataLive < capacity * EMPTY_BELOW) candidates.push(segment);
  }
  candidates.sort((a, b) => a.metadataLive - b.metadataLive);
  const victims = new Set<number>();
  let budget = Math.min(RELOCATE_BYTES_MAX, capacity / 2);
  for (const segment of candidates) {
    if (segment.metadataLive > budget) break;
    budget -= segment.metadataLive;
    victims.add(segment.number);
  }
  return victims;
}
