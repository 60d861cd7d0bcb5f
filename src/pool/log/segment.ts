/** A segment as the running pool knows it. Its numbers that a checkpoint keeps stand in the segment table. */
import type { DiskFile } from "../../ports/mod.ts";
import type { SegmentHeader } from "../format/segment.ts";
import type { Owners } from "./owners.ts";

export class Segment {
  readonly number: number;
  readonly kind: number;
  header: SegmentHeader | undefined;
  /** Open handle, if any. */
  file: DiskFile | undefined;
  /** Row of the segment table; -1 for metadata segments, which the checkpoint's root lists. */
  row = -1;
  /** End of what was appended, in bytes. */
  end = 0;
  sealed = false;
  /** Owner page while it is not all in a checkpoint, or while the collector uses it. */
  owners: Owners | undefined;
  /** Metadata segments: bytes that the newest state refers to. */
  metadataLive = 0;
  /** Checkpoint that no longer has it; 0 while it is in use. */
  freedAt = 0;
  /** Asynchronous reads and syncs in flight: meanwhile its handle stays open and it is not discarded. */
  readers = 0;

  constructor(number: number, kind: number) {
    this.number = number;
    this.kind = kind;
  }
}
