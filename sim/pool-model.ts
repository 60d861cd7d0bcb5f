/**
 * The pool as it should be: volumes, snapshots, pins and cursors as plain values, changed by one operation
 * after the other in the pool's one order.
 * Always holds: `apply` needs nothing but the operation and the state, so a copy plus the same operations
 * gives the same state again. That is what recovery is held against.
 */
import type { MapRef } from "../src/pool/mod.ts";
import { MapModel, type Marks } from "./map-model.ts";
import type { UnitContent } from "./unit-content.ts";

export interface SnapshotModel {
  readonly name: string;
  readonly map: MapModel;
  readonly sequence: number;
}

export interface VolumeModel {
  readonly id: number;
  readonly name: string;
  map: MapModel;
  origin: string | undefined;
  readonly snapshots: Map<string, SnapshotModel>;
}

export interface PinModel {
  readonly map: MapModel;
  readonly persistent: boolean;
}

export interface CursorModel {
  readonly name: string;
  readonly volume: number;
}

/** A volume by id, one of its snapshots, or a pin. */
export type MapKey = { readonly volume: number; readonly snapshot?: string } | { readonly pin: number };

/** One record of the log, as the model understands it. */
export type Change =
  | { readonly kind: "create"; readonly volume: number; readonly name: string; readonly sizeBytes: number }
  | {
      readonly kind: "clone";
      readonly volume: number;
      readonly name: string;
      readonly source: MapKey;
      readonly origin: string;
    }
  | { readonly kind: "delete"; readonly volume: number }
  | { readonly kind: "detach"; readonly volume: number }
  | { readonly kind: "resize"; readonly volume: number; readonly sizeBytes: number; readonly marks: Marks }
  | {
      readonly kind: "write";
      readonly volume: number;
      readonly offset: number;
      readonly length: number;
      readonly marks: Marks;
    }
  | {
      readonly kind: "zero" | "trim";
      readonly volume: number;
      readonly offset: number;
      readonly length: number;
      readonly marks: Marks;
    }
  | {
      readonly kind: "graft";
      readonly volume: number;
      readonly offset: number;
      readonly length: number;
      readonly source: MapModel;
      readonly sourceOffset: number;
    }
  | { readonly kind: "snapshot"; readonly volume: number; readonly name: string }
  | { readonly kind: "snapshot-delete"; readonly volume: number; readonly name: string }
  | { readonly kind: "rollback"; readonly volume: number; readonly name: string; readonly map: MapModel }
  | { readonly kind: "marker"; readonly volume: number; readonly text: string }
  | { readonly kind: "pin"; readonly pin: number; readonly source: MapKey; readonly persistent: boolean }
  | { readonly kind: "unpin"; readonly pin: number }
  | { readonly kind: "cursor"; readonly volume: number; readonly name: string }
  | { readonly kind: "cursor-delete"; readonly name: string }
  | { readonly kind: "pool-size"; readonly sizeBytes: number }
  | { readonly kind: "nothing" };

export type Operation = Change & { readonly sequence: number };

export interface NamedMap {
  readonly name: string;
  readonly key: MapKey;
  readonly map: MapModel;
  readonly frozen: boolean;
}

export class PoolModel {
  readonly content: UnitContent;
  readonly volumes = new Map<number, VolumeModel>();
  readonly pins = new Map<number, PinModel>();
  readonly cursors = new Map<string, CursorModel>();
  /** The pool's size, once it was set. */
  sizeBytes: number | undefined;

  constructor(content: UnitContent) {
    this.content = content;
  }

  copy(): PoolModel {
    const copy = new PoolModel(this.content);
    copy.sizeBytes = this.sizeBytes;
    for (const [id, volume] of this.volumes)
      copy.volumes.set(id, { ...volume, map: volume.map.freeze(), snapshots: new Map(volume.snapshots) });
    for (const [id, pin] of this.pins) copy.pins.set(id, pin);
    for (const [name, cursor] of this.cursors) copy.cursors.set(name, cursor);
    return copy;
  }

  volume(id: number): VolumeModel {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw new Error(`the model has no volume ${id}`);
    return volume;
  }

  volumeNamed(name: string): VolumeModel | undefined {
    for (const volume of this.volumes.values()) if (volume.name === name) return volume;
    return undefined;
  }

  has(key: MapKey): boolean {
    if ("pin" in key) return this.pins.has(key.pin);
    const volume = this.volumes.get(key.volume);
    return volume !== undefined && (key.snapshot === undefined || volume.snapshots.has(key.snapshot));
  }

  map(key: MapKey): MapModel {
    if ("pin" in key) return must(this.pins.get(key.pin), `pin ${key.pin}`).map;
    const volume = this.volume(key.volume);
    return key.snapshot === undefined
      ? volume.map
      : must(volume.snapshots.get(key.snapshot), key.snapshot).map;
  }

  /** The same map as the pool's callers name it. */
  ref(key: MapKey): MapRef {
    if ("pin" in key) return { pin: key.pin };
    const { name } = this.volume(key.volume);
    return key.snapshot === undefined ? { volume: name } : { volume: name, snapshot: key.snapshot };
  }

  /** Clones that still name this volume, or this snapshot of it, as their origin. */
  clonesOf(origin: string): VolumeModel[] {
    return [...this.volumes.values()].filter((volume) => volume.origin === origin);
  }

  /** What a process's death ends: pins that were not to persist. */
  endProcess(): void {
    for (const [id, pin] of this.pins) if (!pin.persistent) this.pins.delete(id);
  }

  /** Every map, with a name for messages. */
  maps(): NamedMap[] {
    const maps: NamedMap[] = [];
    for (const volume of this.volumes.values()) {
      maps.push({ name: volume.name, key: { volume: volume.id }, map: volume.map, frozen: false });
      for (const { name, map } of volume.snapshots.values())
        maps.push({
          name: `${volume.name}@${name}`,
          key: { volume: volume.id, snapshot: name },
          map,
          frozen: true,
        });
    }
    for (const [pin, { map }] of this.pins)
      maps.push({ name: `pin ${pin}`, key: { pin }, map, frozen: true });
    return maps;
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case "create":
      case "clone":
        this.#addVolume(operation);
        return;
      case "delete":
        this.volumes.delete(operation.volume);
        return;
      case "detach":
        this.volume(operation.volume).origin = undefined;
        return;
      case "resize":
      case "write":
      case "zero":
      case "trim":
      case "graft":
      case "rollback": {
        const volume = this.volume(operation.volume);
        volume.map = changedMap(volume.map, operation);
        return;
      }
      case "snapshot": {
        const { map, snapshots } = this.volume(operation.volume);
        const { name, sequence } = operation;
        snapshots.set(name, { name, map: map.freeze(), sequence });
        return;
      }
      case "snapshot-delete":
        this.volume(operation.volume).snapshots.delete(operation.name);
        return;
      case "pin":
        this.pins.set(operation.pin, {
          map: this.map(operation.source).freeze(),
          persistent: operation.persistent,
        });
        return;
      case "unpin":
        this.pins.delete(operation.pin);
        return;
      case "cursor":
        this.cursors.set(operation.name, { name: operation.name, volume: operation.volume });
        return;
      case "cursor-delete":
        this.cursors.delete(operation.name);
        return;
      case "pool-size":
        this.sizeBytes = operation.sizeBytes;
        return;
      case "marker":
      case "nothing":
        return;
    }
  }

  #addVolume(operation: Operation & { kind: "create" | "clone" }): void {
    const { volume: id, name } = operation;
    const clone = operation.kind === "clone";
    const map = clone ? this.map(operation.source).freeze() : new MapModel(this.content, operation.sizeBytes);
    this.volumes.set(id, {
      id,
      name,
      map,
      origin: clone ? operation.origin : undefined,
      snapshots: new Map(),
    });
  }
}

/** The map after a change of a volume's content; most changes happen in place. */
export function changedMap(map: MapModel, change: Change): MapModel {
  switch (change.kind) {
    case "resize":
      map.resize(change.sizeBytes, change.marks);
      return map;
    case "write":
      map.write(change.offset, change.length, change.marks);
      return map;
    case "zero":
    case "trim":
      map.clear(change.offset, change.length, change.marks);
      return map;
    case "graft":
      map.graft(change.source, change.sourceOffset, change.offset, change.length);
      return map;
    case "rollback":
      return change.map.freeze();
    default:
      return map;
  }
}

function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the model has no ${what}`);
  return value;
}
