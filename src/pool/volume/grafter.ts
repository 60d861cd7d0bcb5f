/**
 * Grafts as requests: one record where one suffices, else several under a pin that freezes the source.
 * Always holds: a record's work is bounded; after a crash the records of a long graft that were written stand.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type Engine, persist } from "../engine.ts";
import { PAGE_BYTES } from "../format/layout.ts";
import { RecordKind } from "../format/record.ts";
import { graft, graftStepPages, residentForGraft } from "../map/graft.ts";
import type { MapObject, VolumeObject } from "./catalogue.ts";
import { followed, holdForCursors } from "./catalogue-operation.ts";
import type { CatalogueWriter } from "./catalogue-writer.ts";
import { type GraftPayload, graftRange } from "./replay.ts";

/** Room for a graft record's payload. */
const PAYLOAD_ROOM = 256;

export interface GraftRequest {
  readonly source: MapObject;
  readonly sourceOffset: number;
  readonly volume: VolumeObject;
  readonly offset: number;
  readonly length: number;
}

export class Grafter {
  readonly #engine: Engine;
  readonly #writer: CatalogueWriter;

  constructor(engine: Engine, writer: CatalogueWriter) {
    this.#engine = engine;
    this.#writer = writer;
  }

  /** Resolves when written. INVALID_RANGE */
  async graft(request: GraftRequest): Promise<void> {
    const { source, volume } = request;
    const pages = checkedPages(request);
    if (pages === 0) return;
    const whole = {
      sourcePage: request.sourceOffset / PAGE_BYTES,
      targetPage: request.offset / PAGE_BYTES,
      pages,
    };
    const frozen = source.kind !== "volume";
    const single = graftStepPages(whole) === pages && source.id !== volume.id;
    if (frozen || single) return this.#steps(request, source.id, whole);
    const pinned = await this.#writer.append(() => {
      if (source.gone) throw new RopewalkError("VOLUME_NOT_FOUND", "the source was deleted");
      return {
        operation: { op: "pin", id: this.#writer.nextId(), source: source.id, persistent: false },
        volume: 0,
      };
    });
    const pin = pinned.op === "pin" ? pinned.id : 0;
    try {
      await this.#steps(request, pin, whole);
    } finally {
      await this.#writer.append(() => ({ operation: { op: "unpin", id: pin }, volume: 0 }));
    }
  }

  async #steps(
    request: GraftRequest,
    source: number,
    whole: { sourcePage: number; targetPage: number; pages: number },
  ): Promise<void> {
    let { sourcePage, targetPage, pages } = whole;
    while (pages > 0) {
      const step = graftStepPages({ sourcePage, targetPage, pages });
      const attempt = () => this.#try(request.volume, source, { sourcePage, targetPage, pages: step });
      const wait = attempt();
      if (wait !== undefined) await persist(wait, attempt);
      sourcePage += step;
      targetPage += step;
      pages -= step;
      // One record's work a turn, so that others get theirs.
      if (pages > 0) await new Promise<void>((resolve) => this.#engine.world.clock.soon(resolve));
    }
  }

  #try(
    volume: VolumeObject,
    source: number,
    step: { sourcePage: number; targetPage: number; pages: number },
  ): Promise<void> | undefined {
    const engine = this.#engine;
    const { catalogue, tree, log } = engine;
    if (volume.gone) throw new RopewalkError("VOLUME_NOT_FOUND", "the volume was deleted");
    if (!catalogue.objects.has(source))
      throw new RopewalkError("NOT_FOUND", "the source of the graft was deleted");
    const offset = step.targetPage * PAGE_BYTES;
    const length = Math.min(step.pages * PAGE_BYTES, volume.map.sizeBytes - offset);
    // Either may have been cut since the graft began.
    checkedPages({
      source: catalogue.mapObject(source),
      sourceOffset: step.sourcePage * PAGE_BYTES,
      volume,
      offset,
      length,
    });
    const payload: GraftPayload = {
      source,
      sourceOffset: step.sourcePage * PAGE_BYTES,
      hold: followed(catalogue, volume.id) ? this.#writer.nextId() : 0,
    };
    const range = graftRange(engine, volume, { offset, length }, payload);
    if (!residentForGraft(tree, range)) return engine.fetchMissing();
    const wait = engine.admit(0, PAYLOAD_ROOM, { privileged: true });
    if (wait !== undefined) return wait;
    log.append({
      kind: RecordKind.graft,
      flags: 0,
      volume: volume.id,
      offset,
      length,
      data: [],
      payload: Buffer.from(JSON.stringify(payload)),
    });
    graft(tree, range);
    holdForCursors(catalogue, tree, volume.id, payload.hold, log.sequence);
    return undefined;
  }
}

function checkedPages(request: GraftRequest): number {
  const { source, sourceOffset, volume, offset, length } = request;
  for (const value of [sourceOffset, offset, length]) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RopewalkError("INVALID_RANGE", "a graft's offsets and length must not be negative");
  }
  if (sourceOffset % PAGE_BYTES !== 0 || offset % PAGE_BYTES !== 0)
    throw new RopewalkError("INVALID_RANGE", `a graft's offsets must be multiples of ${PAGE_BYTES}`);
  if (sourceOffset + length > source.map.sizeBytes || offset + length > volume.map.sizeBytes)
    throw new RopewalkError("INVALID_RANGE", "a graft's range ends past the end of its source or volume");
  if (length % PAGE_BYTES === 0) return length / PAGE_BYTES;
  // A last part of a page may only be what both end with.
  if (sourceOffset + length === source.map.sizeBytes && offset + length === volume.map.sizeBytes)
    return Math.ceil(length / PAGE_BYTES);
  throw new RopewalkError(
    "INVALID_RANGE",
    `a graft's length must be a multiple of ${PAGE_BYTES}, unless it ends both devices`,
  );
}
