/**
 * Segments that the live state does without, until their files are given back.
 *
 * Always holds: a segment is discarded when both slots do without it and nobody reads it; names of files are durable
 * before they are used again. Removing may fail as the disk does; the checkpointer then fails the log.
 */
import type { Engine } from "../engine.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Segment } from "../log/segment.ts";

export class FreedSegments {
  readonly #engine: Engine;
  /** Waiting for both slots to do without them. */
  readonly waiting: Segment[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * At a cut: data segments with nothing live that neither the log's tail nor a cursor needs are no longer part of
   * the state. `pinnedFrom`: the first log segment that must stay for cursors.
   */
  take(pinnedFrom: number): Segment[] {
    const { segments, log, store } = this.#engine;
    const freed: Segment[] = [];
    for (const segment of segments.all.values()) {
      if (segment.row < 0 || !segment.sealed || segment === log.segment || segment === log.spareSegment)
        continue;
      if (segments.live(segment) > 0 || (segment.kind === SegmentKind.log && segment.number >= pinnedFrom))
        continue;
      const owners = segments.ownersPlace(segment);
      if (owners !== undefined) store.free(owners.segment, owners.length);
      segment.owners = undefined;
      segments.removeRow(segment);
      freed.push(segment);
    }
    return freed;
  }

  /** What was taken waits from here on; `checkpoint` is the first that does without it. */
  add(freed: Segment[], checkpoint: number): void {
    for (const segment of freed) {
      segment.freedAt = checkpoint;
      this.waiting.push(segment);
    }
  }

  /** The checkpoint is durable: metadata segments with nothing live wait too, and saved owner pages leave memory. */
  collect(checkpoint: number): void {
    const { segments, store } = this.#engine;
    for (const segment of segments.all.values()) {
      const { owners } = segment;
      // A sealed segment's owner page is read again when it is collected.
      if (owners !== undefined && segment.sealed && owners.saved === owners.length)
        segment.owners = undefined;
      if (segment.kind !== SegmentKind.metadata || segment === store.segment || segment.freedAt !== 0)
        continue;
      if (segment.metadataLive === 0 && segment.sealed) {
        segment.freedAt = checkpoint;
        this.waiting.push(segment);
      }
    }
  }

  /** Discards what was freed by `checkpoint` or one before, which both slots are at or behind. */
  async discard(checkpoint: number): Promise<void> {
    const { segments, world } = this.#engine;
    let discarded = 0;
    for (const segment of [...this.waiting]) {
      if (segment.freedAt > checkpoint || segment.readers > 0) continue;
      this.waiting.splice(this.waiting.indexOf(segment), 1);
      await segments.discard(segment);
      discarded += 1;
    }
    await segments.spares.turnInterval();
    // Else a power cut brings the old names back, and with several in a row they would fill the pool.
    if (discarded > 0) await world.disk.syncDirectory();
    // A file made new must not be on its way while its old name may come back: names are durable before reuse (`take`).
    await segments.spares.fill();
  }
}
