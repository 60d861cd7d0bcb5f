/**
 * Replay: records behind a checkpoint's cut change the maps again, in order, exactly as when they were appended.
 * Errors: POOL_DAMAGED when a record makes no sense in its place.
 */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import { type RecordHeader, RecordKind, recordBytes } from "../format/record.ts";
import type { Segment } from "../log/segment.ts";
import { type GraftRange, graft, residentForGraft } from "../map/graft.ts";
import type { MapRoot } from "../map/map-root.ts";
import type { VolumeObject } from "./catalogue.ts";
import { applyCatalogue, decodeCatalogueOperation, holdForCursors } from "./catalogue-operation.ts";
import { applyClear, applyResize, residentForClear } from "./clear-record.ts";
import { residentForWrite } from "./volume-writer.ts";

const GraftPayloadShape = Type.Object({
  source: Type.Integer({ minimum: 1 }),
  sourceOffset: Type.Integer({ minimum: 0 }),
  hold: Type.Integer({ minimum: 0 }),
});
export type GraftPayload = Static<typeof GraftPayloadShape>;

export function decodeGraftPayload(payload: Uint8Array): GraftPayload {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch (cause) {
    throw new RopewalkError("POOL_DAMAGED", "a graft record's text is no JSON", { cause });
  }
  if (!Value.Check(GraftPayloadShape, value))
    throw new RopewalkError("POOL_DAMAGED", "a graft record is malformed");
  return value;
}

export function graftRange(
  engine: Engine,
  volume: VolumeObject,
  record: { offset: number; length: number },
  payload: GraftPayload,
): GraftRange {
  const source = engine.catalogue.mapObject(payload.source).map;
  const { sourceOffset } = payload;
  const inside = (offset: number, map: MapRoot) =>
    offset % PAGE_BYTES === 0 && offset + record.length <= map.sizeBytes;
  if (!inside(record.offset, volume.map) || !inside(sourceOffset, source))
    throw new RopewalkError("POOL_DAMAGED", "a graft record leaves its source or volume");
  return {
    source,
    sourcePage: payload.sourceOffset / PAGE_BYTES,
    target: volume.map,
    targetPage: record.offset / PAGE_BYTES,
    pages: Math.ceil(record.length / PAGE_BYTES),
  };
}

/** Applies one record that stands in `segment`. */
export async function replayRecord(engine: Engine, segment: Segment, header: RecordHeader): Promise<void> {
  const { tree } = engine;
  const position = header.position + header.headerBytes;
  const clear = {
    flags: header.flags,
    offset: header.offset,
    length: header.length,
    position,
    sums: header.pageChecksums,
    sumsAt: 0,
  };
  switch (header.kind) {
    case RecordKind.write: {
      const volume = volumeOf(engine, header);
      const first = Math.floor(header.offset / PAGE_BYTES);
      // From the start after each wait: what was there before it may have left the cache.
      while (!residentForWrite(engine, volume.map, first, header.dataPages)) await engine.fetchMissing();
      tree.mapData(volume.map, first, header.dataPages, segment, position, header.pageChecksums, 0);
      return;
    }
    case RecordKind.zero:
    case RecordKind.trim: {
      if (header.kind === RecordKind.trim && engine.world.plants?.has("lost-trim")) return;
      const volume = volumeOf(engine, header);
      const end = Math.min(header.offset + header.length, volume.map.sizeBytes);
      while (!residentForClear(engine, volume.map, header.offset, end)) await engine.fetchMissing();
      applyClear(engine, volume, clear, segment);
      return;
    }
    case RecordKind.resize: {
      const volume = volumeOf(engine, header);
      const { sizeBytes } = volume.map;
      while (header.length < sizeBytes && !residentForClear(engine, volume.map, header.length, sizeBytes))
        await engine.fetchMissing();
      applyResize(engine, volume, clear, segment);
      return;
    }
    case RecordKind.graft: {
      const volume = volumeOf(engine, header);
      const payload = decodeGraftPayload(header.payload);
      const whole = graftRange(engine, volume, header, payload);
      const half = { ...whole, pages: Math.ceil(whole.pages / 2) };
      const range = engine.world.plants?.has("half-graft") ? half : whole;
      while (!residentForGraft(tree, range)) await engine.fetchMissing();
      graft(tree, range);
      holdForCursors(engine.catalogue, tree, volume.id, payload.hold, header.sequence);
      return;
    }
    case RecordKind.catalogue:
      applyCatalogue(engine.catalogue, tree, decodeCatalogueOperation(header.payload), {
        sequence: header.sequence,
        atMs: header.atMs,
        segment: segment.number,
        position: header.position + recordBytes(header),
      });
      return;
    case RecordKind.mark:
      return;
    default:
      throw new RopewalkError("POOL_NEWER", `the log has a record of unknown kind ${header.kind}`);
  }
}

function volumeOf(engine: Engine, header: RecordHeader): VolumeObject {
  const object = engine.catalogue.mapObject(header.volume);
  if (object.kind !== "volume")
    throw new RopewalkError(
      "POOL_DAMAGED",
      `record ${header.sequence} names object ${header.volume}, which is no volume`,
    );
  return object;
}
