/**
 * The catalogue: volumes, snapshots, pins and cursors, as values in memory that change only by catalogue
 * records (`applyCatalogue`), live and in replay alike; a checkpoint keeps it as JSON.
 * Always holds: object ids come from one counter and are never reused.
 */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { HOLDER_BASE } from "../format/layout.ts";
import type { MapRoot } from "../map/map-root.ts";
import type { MapRef } from "../pool-api.ts";

export interface VolumeObject {
  readonly kind: "volume";
  readonly id: number;
  name: string;
  readonly uuid: string;
  readonly createdAtMs: number;
  map: MapRoot;
  /** Object it was cloned from, 0 for none. */
  origin: number;
  clients: number;
  /** Set when it was deleted, so that late requests notice. */
  gone: boolean;
}

export interface SnapshotObject {
  readonly kind: "snapshot";
  readonly id: number;
  readonly volume: number;
  readonly name: string;
  readonly uuid: string;
  readonly createdAtMs: number;
  readonly sequence: number;
  map: MapRoot;
  clients: number;
  gone: boolean;
}

export interface PinObject {
  readonly kind: "pin";
  readonly id: number;
  readonly persistent: boolean;
  /** What the one who made a persistent pin wants to know of it after a restart. */
  readonly label?: string;
  map: MapRoot;
  clients: number;
  gone: boolean;
}

/** What a cursor must still hold for its reader: the map as it was behind a graft or rollback. */
export interface CursorHold {
  readonly sequence: number;
  readonly pin: number;
}

export interface CursorObject {
  readonly kind: "cursor";
  readonly id: number;
  readonly name: string;
  readonly volume: number;
  readonly logBytesMax: number;
  state: "following" | "dropped" | "lost";
  sequence: number;
  /** Place in the log at or before the record behind `sequence`. */
  segment: number;
  position: number;
  /** Pin of the frozen map that is no newer than `sequence`; 0 when lost. */
  base: number;
  baseSequence: number;
  /** Pin of a newer frozen map, which becomes the base when the reader has passed it; 0 for none. */
  candidate: number;
  candidateSequence: number;
  holds: CursorHold[];
  /** After a restart, until it is acknowledged: pin of the frozen map that the reader still stands at; 0 else. */
  previous: number;
  previousSequence: number;
}

export type MapObject = VolumeObject | SnapshotObject | PinObject;
export type CatalogueObject = MapObject | CursorObject;

/** A pin's label at most, in UTF-8. */
export const PIN_LABEL_BYTES_MAX = 2048;

const MapShape = Type.Object({
  root: Type.Integer({ minimum: 0 }),
  height: Type.Integer({ minimum: 1, maximum: 4 }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  dataPages: Type.Integer({ minimum: 0 }),
});
const Id = Type.Integer({ minimum: 1 });
const Count = Type.Integer({ minimum: 0 });

const CatalogueShape = Type.Object({
  nextObject: Id,
  sizeBytes: Count,
  volumes: Type.Array(
    Type.Object({
      id: Id,
      name: Type.String(),
      uuid: Type.String(),
      createdAtMs: Count,
      origin: Count,
      map: MapShape,
    }),
  ),
  snapshots: Type.Array(
    Type.Object({
      id: Id,
      volume: Id,
      name: Type.String(),
      uuid: Type.String(),
      createdAtMs: Count,
      sequence: Count,
      map: MapShape,
    }),
  ),
  pins: Type.Array(
    Type.Object({
      id: Id,
      persistent: Type.Boolean(),
      label: Type.Optional(Type.String({ maxLength: PIN_LABEL_BYTES_MAX })),
      map: MapShape,
    }),
  ),
  cursors: Type.Array(
    Type.Object({
      id: Id,
      name: Type.String(),
      volume: Id,
      logBytesMax: Count,
      state: Type.Union([Type.Literal("following"), Type.Literal("dropped"), Type.Literal("lost")]),
      sequence: Count,
      segment: Count,
      position: Count,
      base: Count,
      baseSequence: Count,
      candidate: Count,
      candidateSequence: Count,
      holds: Type.Array(Type.Object({ sequence: Count, pin: Id })),
      previous: Count,
      previousSequence: Count,
    }),
  ),
});

export class Catalogue {
  readonly objects = new Map<number, CatalogueObject>();
  readonly volumes = new Map<string, VolumeObject>();
  /** By volume id, then by name. */
  readonly snapshots = new Map<number, Map<string, SnapshotObject>>();
  readonly cursors = new Map<string, CursorObject>();
  nextObject = 1;
  /** Of all pins' labels, as they stand in a checkpoint. */
  labelBytes = 0;
  /** The pool's size limit, as last set; 0: as in the settings. */
  sizeBytes = 0;

  add(object: CatalogueObject): void {
    this.objects.set(object.id, object);
    this.nextObject = Math.max(this.nextObject, object.id + 1);
    if (object.kind === "volume") {
      this.volumes.set(object.name, object);
      this.snapshots.set(object.id, new Map());
    } else if (object.kind === "snapshot") this.snapshots.get(object.volume)!.set(object.name, object);
    else if (object.kind === "cursor") this.cursors.set(object.name, object);
    else this.labelBytes += labelBytes(object);
  }

  remove(object: CatalogueObject): void {
    this.objects.delete(object.id);
    if (object.kind !== "cursor") object.gone = true;
    if (object.kind === "volume") {
      this.volumes.delete(object.name);
      this.snapshots.delete(object.id);
    } else if (object.kind === "snapshot") this.snapshots.get(object.volume)?.delete(object.name);
    else if (object.kind === "cursor") this.cursors.delete(object.name);
    else this.labelBytes -= labelBytes(object);
  }

  volume(name: string): VolumeObject {
    const volume = this.volumes.get(name);
    if (volume === undefined)
      throw new RopewalkError("VOLUME_NOT_FOUND", `there is no volume ${quoted(name)}`);
    return volume;
  }

  snapshot(volume: string, name: string): SnapshotObject {
    const snapshot = this.snapshots.get(this.volume(volume).id)!.get(name);
    if (snapshot === undefined)
      throw new RopewalkError("SNAPSHOT_NOT_FOUND", `there is no snapshot ${quoted(`${volume}@${name}`)}`);
    return snapshot;
  }

  /** Whatever has a map. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, PIN_NOT_FOUND */
  object(map: MapRef): MapObject {
    if ("pin" in map) return this.pin(map.pin);
    return map.snapshot === undefined ? this.volume(map.volume) : this.snapshot(map.volume, map.snapshot);
  }

  pin(id: number): PinObject {
    const pin = this.objects.get(id);
    if (pin?.kind !== "pin") throw new RopewalkError("PIN_NOT_FOUND", `there is no pin ${id}`);
    return pin;
  }

  cursor(name: string): CursorObject {
    const cursor = this.cursors.get(name);
    if (cursor === undefined)
      throw new RopewalkError("CURSOR_NOT_FOUND", `there is no cursor ${quoted(name)}`);
    return cursor;
  }

  /** A volume, snapshot or pin by object id. */
  mapObject(id: number): MapObject {
    const object = this.objects.get(id);
    if (object === undefined || object.kind === "cursor")
      throw new RopewalkError("POOL_DAMAGED", `the log names object ${id}, which is not there`);
    return object;
  }

  clonesOf(id: number): number {
    let clones = 0;
    for (const volume of this.volumes.values()) if (volume.origin === id) clones += 1;
    return clones;
  }

  encode(): string {
    const { nextObject, sizeBytes } = this;
    const state: Static<typeof CatalogueShape> = {
      nextObject,
      sizeBytes,
      volumes: [],
      snapshots: [],
      pins: [],
      cursors: [],
    };
    for (const object of this.objects.values()) {
      if (object.kind === "cursor") {
        const { kind: _, holds, ...rest } = object;
        state.cursors.push({ ...rest, holds: holds.map((hold) => ({ ...hold })) });
        continue;
      }
      const { root, height, sizeBytes: size, dataPages } = object.map;
      const map = { root, height, sizeBytes: size, dataPages };
      if (object.kind === "volume") {
        const { id, name, uuid, createdAtMs, origin } = object;
        state.volumes.push({ id, name, uuid, createdAtMs, origin, map });
      } else if (object.kind === "snapshot") {
        const { id, volume, name, uuid, createdAtMs, sequence } = object;
        state.snapshots.push({ id, volume, name, uuid, createdAtMs, sequence, map });
      } else {
        const { id, persistent, label } = object;
        state.pins.push({ id, persistent, ...(label !== undefined && { label }), map });
      }
    }
    return JSON.stringify(state);
  }

  static decode(text: string): Catalogue {
    let state: unknown;
    try {
      state = JSON.parse(text);
    } catch (cause) {
      throw new RopewalkError("POOL_DAMAGED", "the catalogue is no JSON", { cause });
    }
    if (!Value.Check(CatalogueShape, state))
      throw new RopewalkError("POOL_DAMAGED", "the catalogue is malformed");
    const catalogue = new Catalogue();
    const live = { clients: 0, gone: false };
    for (const { map, ...rest } of state.volumes)
      catalogue.add({ kind: "volume", ...rest, ...live, map: { holder: HOLDER_BASE + rest.id, ...map } });
    for (const { map, ...rest } of state.snapshots) {
      if (!catalogue.snapshots.has(rest.volume))
        throw new RopewalkError("POOL_DAMAGED", "a snapshot without its volume");
      catalogue.add({ kind: "snapshot", ...rest, ...live, map: { holder: HOLDER_BASE + rest.id, ...map } });
    }
    for (const { map, ...rest } of state.pins)
      catalogue.add({ kind: "pin", ...rest, ...live, map: { holder: HOLDER_BASE + rest.id, ...map } });
    for (const cursor of state.cursors) catalogue.add({ kind: "cursor", ...cursor });
    catalogue.nextObject = state.nextObject;
    catalogue.sizeBytes = state.sizeBytes;
    return catalogue;
  }
}

function labelBytes({ label }: PinObject): number {
  return label === undefined ? 0 : storedLabelBytes(label);
}

/** What a label takes in a catalogue: control characters become longer in JSON. */
export function storedLabelBytes(label: string): number {
  return Buffer.byteLength(JSON.stringify(label));
}
