/**
 * Pins: frozen maps without a name, and what is read from two frozen maps at once.
 *
 * Always holds: a pin that is read, or that a cursor owns, is not given back. Errors: the codes named at each method.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Cursors } from "../cursor/cursors.ts";
import type { Engine } from "../engine.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import type { Difference, MapRef, PinInfo } from "../pool-api.ts";
import type { VolumeAdministration } from "./administration.ts";
import { type MapObject, PIN_LABEL_BYTES_MAX } from "./catalogue.ts";
import type { CatalogueWriter } from "./catalogue-writer.ts";
import { differences } from "./extents.ts";

export interface PinOptions {
  /** Outlives the pool's being opened anew. */
  readonly persistent?: boolean;
  /** Kept with a persistent pin, at most 2,048 bytes in UTF-8. */
  readonly label?: string;
}

export class Pins {
  readonly #engine: Engine;
  readonly #catalogueWriter: CatalogueWriter;
  readonly #administration: VolumeAdministration;
  readonly #cursors: Cursors;

  constructor(
    engine: Engine,
    {
      catalogueWriter,
      administration,
      cursors,
    }: { catalogueWriter: CatalogueWriter; administration: VolumeAdministration; cursors: Cursors },
  ) {
    this.#engine = engine;
    this.#catalogueWriter = catalogueWriter;
    this.#administration = administration;
    this.#cursors = cursors;
  }

  /** Freezes a map. TOO_MANY, INVALID_ARGUMENT, TOO_LARGE */
  async pin(map: MapRef, { persistent = false, label }: PinOptions = {}): Promise<number> {
    if (label !== undefined) checkLabel(label, { persistent });
    const prepare = () => {
      this.#administration.mustHaveRoom(label);
      return {
        operation: {
          op: "pin" as const,
          id: this.#catalogueWriter.nextId(),
          source: this.#engine.catalogue.object(map).id,
          persistent,
          ...(label !== undefined && { label }),
        },
        volume: 0,
      };
    };
    const done = persistent
      ? await this.#catalogueWriter.commit(prepare)
      : await this.#catalogueWriter.append(prepare);
    return done.op === "pin" ? done.id : 0;
  }

  /** All of them in the order they were made, those of cursors included. */
  list(): PinInfo[] {
    const found: PinInfo[] = [];
    for (const object of this.#engine.catalogue.objects.values()) {
      if (object.kind !== "pin") continue;
      const { id, persistent, label, map } = object;
      found.push({ id, persistent, label, sizeBytes: map.sizeBytes });
    }
    return found.sort((a, b) => a.id - b.id);
  }

  /** PIN_NOT_FOUND, IN_USE */
  async unpin(pin: number): Promise<void> {
    await this.#catalogueWriter.append(() => {
      const object = this.#engine.catalogue.pin(pin);
      if (object.clients > 0) throw new RopewalkError("IN_USE", `pin ${pin} is being read`);
      if (this.#cursors.owns(pin)) throw new RopewalkError("IN_USE", `pin ${pin} belongs to a cursor`);
      return { operation: { op: "unpin", id: pin }, volume: 0 };
    });
  }

  /** What an open owes the last run: pins that were not to outlive it end. */
  async dropTransient(): Promise<void> {
    for (const object of [...this.#engine.catalogue.objects.values()]) {
      if (object.kind !== "pin" || object.persistent) continue;
      await this.#catalogueWriter.append(() => ({ operation: { op: "unpin", id: object.id }, volume: 0 }));
    }
  }

  /** Ranges where `to` reads otherwise than `from`, in order; volumes are frozen for as long as it takes. */
  async *difference(options: {
    from: MapRef;
    to: MapRef;
    offset?: number;
    length?: number;
  }): AsyncGenerator<Difference> {
    const pins: number[] = [];
    const reading: MapObject[] = [];
    const freeze = async (map: MapRef): Promise<MapObject> => {
      const { catalogue } = this.#engine;
      const object = catalogue.object(map);
      if (object.kind === "volume") {
        const pin = await this.pin(map);
        pins.push(pin);
        return catalogue.pin(pin);
      }
      object.clients += 1;
      reading.push(object);
      return object;
    };
    try {
      const from = await freeze(options.from);
      const frozenFrom = from.map;
      const to = await freeze(options.to);
      const offset = options.offset ?? 0;
      const end = options.length === undefined ? Number.POSITIVE_INFINITY : offset + options.length;
      yield* differences(
        this.#engine,
        frozenFrom,
        to.map,
        Math.floor(offset / PAGE_BYTES),
        Math.ceil(end / PAGE_BYTES),
        () => {
          if (from.gone || to.gone)
            throw new RopewalkError("PIN_NOT_FOUND", "a frozen map was given up while it was compared");
        },
      );
    } finally {
      for (const object of reading) object.clients -= 1;
      for (const pin of pins) await this.unpin(pin);
    }
  }
}

function checkLabel(label: string, { persistent }: { persistent: boolean }): void {
  if (!persistent) throw new RopewalkError("INVALID_ARGUMENT", "only a persistent pin keeps a label");
  if (Buffer.byteLength(label) > PIN_LABEL_BYTES_MAX)
    throw new RopewalkError("TOO_LARGE", `a pin's label is at most ${PIN_LABEL_BYTES_MAX} bytes`);
}
