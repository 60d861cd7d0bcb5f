/**
 * What a catalogue record says, and what it does to the maps.
 * Always holds: `applyCatalogue` depends on nothing but the state before and the record, so that replay ends
 * where the running pool stood; it changes node counts only, and so needs no node in memory.
 */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { RopewalkError } from "../../base/errors.ts";
import { VOLUME_SIZE_BYTES_MAX } from "../../base/object-name.ts";
import { HOLDER_BASE, RECORD_PAYLOAD_BYTES_MAX } from "../format/layout.ts";
import { emptyMap } from "../map/map-root.ts";
import type { Tree } from "../map/tree.ts";
import { type Catalogue, type CursorObject, PIN_LABEL_BYTES_MAX, type VolumeObject } from "./catalogue.ts";

const Id = Type.Integer({ minimum: 1 });
const Count = Type.Integer({ minimum: 0 });
const Name = Type.String({ maxLength: 255 });

const CatalogueOperationShape = Type.Union([
  Type.Object({
    op: Type.Literal("volume-create"),
    id: Id,
    name: Name,
    uuid: Name,
    sizeBytes: Type.Integer({ minimum: 1, maximum: VOLUME_SIZE_BYTES_MAX }),
  }),
  Type.Object({ op: Type.Literal("volume-clone"), id: Id, name: Name, uuid: Name, source: Id }),
  Type.Object({ op: Type.Literal("volume-detach"), id: Id }),
  Type.Object({ op: Type.Literal("volume-delete"), id: Id }),
  Type.Object({ op: Type.Literal("snapshot-create"), id: Id, volume: Id, name: Name, uuid: Name }),
  Type.Object({ op: Type.Literal("snapshot-delete"), id: Id, name: Name }),
  Type.Object({ op: Type.Literal("rollback"), volume: Id, snapshot: Id, name: Name, hold: Count }),
  Type.Object({
    op: Type.Literal("pin"),
    id: Id,
    source: Id,
    persistent: Type.Boolean(),
    label: Type.Optional(Type.String({ maxLength: PIN_LABEL_BYTES_MAX })),
  }),
  Type.Object({ op: Type.Literal("unpin"), id: Id }),
  Type.Object({ op: Type.Literal("marker"), volume: Id, text: Type.String({ maxLength: 4096 }) }),
  Type.Object({
    op: Type.Literal("cursor-create"),
    id: Id,
    name: Name,
    volume: Id,
    base: Id,
    logBytesMax: Count,
  }),
  Type.Object({
    op: Type.Literal("cursor-acknowledge"),
    id: Id,
    sequence: Count,
    segment: Count,
    position: Count,
    candidate: Count,
  }),
  Type.Object({ op: Type.Literal("cursor-drop"), id: Id }),
  Type.Object({ op: Type.Literal("cursor-lose"), id: Id }),
  Type.Object({ op: Type.Literal("cursor-restart"), id: Id, base: Id }),
  Type.Object({ op: Type.Literal("cursor-delete"), id: Id }),
  Type.Object({ op: Type.Literal("pool-size"), sizeBytes: Count }),
]);

export type CatalogueOperation = Static<typeof CatalogueOperationShape>;

export function encodeCatalogueOperation(operation: CatalogueOperation): Uint8Array {
  // What replay would refuse must never get into the log.
  const { op } = operation;
  if (!Value.Check(CatalogueOperationShape, operation))
    throw new RopewalkError("INVALID_ARGUMENT", `a ${op} with such values is not possible`);
  const payload = Buffer.from(JSON.stringify(operation));
  if (payload.length > RECORD_PAYLOAD_BYTES_MAX)
    throw new RopewalkError("TOO_LARGE", "the catalogue record is too large");
  return payload;
}

export function decodeCatalogueOperation(payload: Uint8Array): CatalogueOperation {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch (cause) {
    throw new RopewalkError("POOL_DAMAGED", "a catalogue record is no JSON", { cause });
  }
  if (!Value.Check(CatalogueOperationShape, value))
    throw new RopewalkError("POOL_DAMAGED", "a catalogue record is malformed");
  return value;
}

export interface RecordPlace {
  readonly sequence: number;
  readonly atMs: number;
  /** Where the log goes on behind the record. */
  readonly segment: number;
  readonly position: number;
}

export function applyCatalogue(
  catalogue: Catalogue,
  tree: Tree,
  operation: CatalogueOperation,
  place: RecordPlace,
): void {
  const live = { clients: 0, gone: false };
  const pin = (id: number, source: number, persistent: boolean, label?: string) =>
    catalogue.add({
      kind: "pin",
      id,
      persistent,
      ...(label !== undefined && { label }),
      ...live,
      map: tree.share(catalogue.mapObject(source).map, HOLDER_BASE + id),
    });
  const unpin = (id: number) => {
    if (id === 0) return;
    const object = catalogue.pin(id);
    tree.releaseMap(object.map);
    catalogue.remove(object);
  };
  switch (operation.op) {
    case "volume-create": {
      const { id, name, uuid, sizeBytes } = operation;
      catalogue.add({
        kind: "volume",
        id,
        name,
        uuid,
        createdAtMs: place.atMs,
        origin: 0,
        ...live,
        map: emptyMap(id, sizeBytes),
      });
      return;
    }
    case "volume-clone": {
      const { id, name, uuid, source } = operation;
      const map = tree.share(catalogue.mapObject(source).map, HOLDER_BASE + id);
      catalogue.add({
        kind: "volume",
        id,
        name,
        uuid,
        createdAtMs: place.atMs,
        origin: source,
        ...live,
        map,
      });
      return;
    }
    case "volume-detach": {
      volumeOf(catalogue, operation.id).origin = 0;
      return;
    }
    case "volume-delete": {
      const volume = volumeOf(catalogue, operation.id);
      tree.releaseMap(volume.map);
      catalogue.remove(volume);
      return;
    }
    case "snapshot-create": {
      const { id, volume, name, uuid } = operation;
      const map = tree.share(catalogue.mapObject(volume).map, HOLDER_BASE + id);
      catalogue.add({
        kind: "snapshot",
        id,
        volume,
        name,
        uuid,
        createdAtMs: place.atMs,
        sequence: place.sequence,
        ...live,
        map,
      });
      return;
    }
    case "snapshot-delete": {
      const snapshot = catalogue.mapObject(operation.id);
      tree.releaseMap(snapshot.map);
      catalogue.remove(snapshot);
      return;
    }
    case "rollback": {
      const volume = volumeOf(catalogue, operation.volume);
      const map = tree.share(catalogue.mapObject(operation.snapshot).map, volume.map.holder);
      tree.releaseMap(volume.map);
      volume.map = map;
      holdForCursors(catalogue, tree, volume.id, operation.hold, place.sequence);
      return;
    }
    case "pin":
      pin(operation.id, operation.source, operation.persistent, operation.label);
      return;
    case "unpin":
      unpin(operation.id);
      return;
    case "marker":
      return;
    case "cursor-create": {
      const { id, name, volume, base, logBytesMax } = operation;
      pin(base, volume, true);
      catalogue.add({
        kind: "cursor",
        id,
        name,
        volume,
        logBytesMax,
        state: "following",
        sequence: place.sequence,
        segment: place.segment,
        position: place.position,
        base,
        baseSequence: place.sequence,
        candidate: 0,
        candidateSequence: 0,
        holds: [],
        previous: 0,
        previousSequence: 0,
      });
      return;
    }
    case "cursor-acknowledge": {
      const cursor = cursorOf(catalogue, operation.id);
      cursor.sequence = operation.sequence;
      cursor.segment = operation.segment;
      cursor.position = operation.position;
      while (cursor.holds.length > 0 && cursor.holds[0]!.sequence <= cursor.sequence)
        releaseHold(catalogue, tree, cursor.holds.shift()!.pin);
      unpin(cursor.previous);
      cursor.previous = 0;
      if (cursor.candidate !== 0 && cursor.candidateSequence <= cursor.sequence) {
        unpin(cursor.base);
        cursor.base = cursor.candidate;
        cursor.baseSequence = cursor.candidateSequence;
        cursor.candidate = 0;
      }
      if (operation.candidate !== 0 && cursor.candidate === 0) {
        pin(operation.candidate, cursor.volume, true);
        cursor.candidate = operation.candidate;
        cursor.candidateSequence = place.sequence;
      }
      return;
    }
    case "cursor-drop": {
      const cursor = cursorOf(catalogue, operation.id);
      cursor.state = "dropped";
      dropHolds(catalogue, tree, cursor);
      unpin(cursor.candidate);
      cursor.candidate = 0;
      standAtPrevious(cursor, unpin);
      return;
    }
    case "cursor-lose": {
      const cursor = cursorOf(catalogue, operation.id);
      cursor.state = "lost";
      unpin(cursor.base);
      cursor.base = 0;
      return;
    }
    case "cursor-restart": {
      const cursor = cursorOf(catalogue, operation.id);
      dropHolds(catalogue, tree, cursor);
      unpin(cursor.candidate);
      cursor.candidate = 0;
      // The old frozen map stays until the reader has the difference and acknowledges the new start.
      standAtPrevious(cursor, unpin);
      cursor.previous = cursor.base;
      cursor.previousSequence = cursor.baseSequence;
      pin(operation.base, cursor.volume, true);
      cursor.base = operation.base;
      cursor.baseSequence = cursor.sequence = place.sequence;
      cursor.segment = place.segment;
      cursor.position = place.position;
      cursor.state = "following";
      return;
    }
    case "cursor-delete": {
      const cursor = cursorOf(catalogue, operation.id);
      dropHolds(catalogue, tree, cursor);
      unpin(cursor.candidate);
      unpin(cursor.base);
      unpin(cursor.previous);
      catalogue.remove(cursor);
      return;
    }
    case "pool-size":
      catalogue.sizeBytes = operation.sizeBytes;
      return;
  }
}

function volumeOf(catalogue: Catalogue, id: number): VolumeObject {
  const object = catalogue.mapObject(id);
  if (object.kind !== "volume") throw new RopewalkError("POOL_DAMAGED", `object ${id} is no volume`);
  return object;
}

function cursorOf(catalogue: Catalogue, id: number): CursorObject {
  const object = catalogue.objects.get(id);
  if (object?.kind !== "cursor") throw new RopewalkError("POOL_DAMAGED", `object ${id} is no cursor`);
  return object;
}

/** Whether some cursor still has to deliver records of the volume, so that a graft's content must be held. */
export function followed(catalogue: Catalogue, volume: number): boolean {
  for (const cursor of catalogue.cursors.values())
    if (cursor.volume === volume && cursor.state === "following") return true;
  return false;
}

/** Freezes a volume's map as it is behind a graft or rollback until all cursors of it have passed. `pin` is the hold's id, 0 for none. */
export function holdForCursors(
  catalogue: Catalogue,
  tree: Tree,
  volume: number,
  pin: number,
  sequence: number,
): void {
  if (pin === 0) return;
  const map = tree.share(catalogue.mapObject(volume).map, HOLDER_BASE + pin);
  catalogue.add({ kind: "pin", id: pin, persistent: true, clients: 0, gone: false, map });
  for (const cursor of catalogue.cursors.values()) {
    if (cursor.volume === volume && cursor.state === "following") cursor.holds.push({ sequence, pin });
  }
}

/** A restart that the reader never acknowledged is undone: the reader still stands at the map before it. */
function standAtPrevious(cursor: CursorObject, unpin: (pin: number) => void): void {
  if (cursor.previous === 0) return;
  unpin(cursor.base);
  cursor.base = cursor.previous;
  cursor.baseSequence = cursor.previousSequence;
  cursor.previous = 0;
}

function dropHolds(catalogue: Catalogue, tree: Tree, cursor: CursorObject): void {
  const { holds } = cursor;
  cursor.holds = [];
  for (const hold of holds) releaseHold(catalogue, tree, hold.pin);
}

/** Ends a hold when no cursor needs it any more. */
function releaseHold(catalogue: Catalogue, tree: Tree, pin: number): void {
  for (const cursor of catalogue.cursors.values()) if (cursor.holds.some((hold) => hold.pin === pin)) return;
  const object = catalogue.pin(pin);
  tree.releaseMap(object.map);
  catalogue.remove(object);
}
