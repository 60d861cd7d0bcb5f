/**
 * Volumes, snapshots and pins as block devices.
 * Always holds: requests come through the checking shim, so they are in range; a device that was closed is not
 * used again. Snapshots and pins are read-only.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../../device/mod.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES, REQUEST_BYTES_MAX, roundDown } from "../format/layout.ts";
import type { MapObject, VolumeObject } from "./catalogue.ts";
import { extents } from "./extents.ts";
import type { PageReader } from "./page-reader.ts";
import type { VolumeWriter } from "./volume-writer.ts";

export interface DeviceParts {
  readonly engine: Engine;
  readonly reader: PageReader;
  readonly writer: VolumeWriter;
}

export class PoolDevice implements BlockDevice {
  readonly #parts: DeviceParts;
  readonly #object: MapObject;
  /** A pin that a cursor held may end under its reader: an error, never the zeros of an empty map. */
  readonly #map = () => {
    if (this.#object.gone) throw goneError(this.#object);
    return this.#object.map;
  };
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload = undefined;
  #open = true;

  constructor(parts: DeviceParts, object: MapObject) {
    this.#parts = parts;
    this.#object = object;
    object.clients += 1;
    const segmentBytes = parts.engine.segments.segmentBytes;
    this.geometry = {
      minimumBlockBytes: 1,
      preferredBlockBytes: PAGE_BYTES,
      maximumRequestBytes: Math.min(REQUEST_BYTES_MAX, roundDown(segmentBytes / 2, PAGE_BYTES)),
    };
    const writable = object.kind === "volume";
    const native = writable ? "native" : "absent";
    this.capabilities = {
      writable,
      flush: "native",
      fua: native,
      trim: native,
      zero: native,
      fastZero: native,
      extents: "native",
      sharedFlush: true,
      rotational: false,
    };
  }

  get sizeBytes(): number {
    return this.#object.map.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#parts.reader.read(this.#map, offset, target);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#parts.writer.write(this.#volume(), offset, source, flags);
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#parts.writer.zero(this.#volume(), offset, length, flags);
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#parts.writer.trim(this.#volume(), offset, length, flags);
  }

  flush(): Completion {
    return this.#object.kind === "volume" ? this.#parts.engine.log.flush() : undefined;
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return extents(this.#parts.engine, this.#map, offset, length, extentsMax);
  }

  #volume(): VolumeObject {
    if (this.#object.kind === "volume") return this.#object;
    throw new RopewalkError("READ_ONLY", "a snapshot cannot be written; clone it");
  }

  close(): Promise<void> {
    if (this.#open) {
      this.#open = false;
      this.#object.clients -= 1;
    }
    return Promise.resolve();
  }
}

function goneError(object: MapObject): RopewalkError {
  if (object.kind === "pin")
    return new RopewalkError("PIN_NOT_FOUND", `pin ${object.id} was given up while it was read`);
  if (object.kind === "snapshot") return new RopewalkError("SNAPSHOT_NOT_FOUND", "the snapshot was deleted");
  return new RopewalkError("VOLUME_NOT_FOUND", "the volume was deleted");
}
