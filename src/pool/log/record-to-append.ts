/** A record as its maker hands it to the log, which gives it its sequence, its place and its checksums. */
import { RecordKind } from "../format/record.ts";

export const KIND_NAMES: Readonly<Record<number, string>> = {
  [RecordKind.write]: "write",
  [RecordKind.zero]: "zero",
  [RecordKind.trim]: "trim",
  [RecordKind.resize]: "resize",
  [RecordKind.graft]: "graft",
  [RecordKind.catalogue]: "catalogue",
  [RecordKind.mark]: "mark",
};

export interface RecordToAppend {
  readonly kind: number;
  readonly flags: number;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Whole pages, in order; at most a merged page, the body and another merged page. */
  readonly data: readonly Uint8Array[];
  /** Checksums of its pages, where they are known already. */
  readonly checksums?: Uint32Array | undefined;
  readonly payload?: Uint8Array;
  /** Catalogue records: what the observer is told. */
  readonly catalogue?: { readonly operation: string; readonly object: number };
}
