/**
 * Writes, zeroes, trims and resizes of a volume: from a request to its record and the map.
 *
 * Always holds: a record is appended in the turn in which everything it needs is at hand, and changes the map in
 * that same turn. A request that cannot go on at once waits and looks again; its data stays the caller's.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type Completion, RequestFlag } from "../../device/mod.ts";
import { type Engine, persist } from "../engine.ts";
import { FANOUT, LEAF_PAGES, PAGE_BYTES, roundUp } from "../format/layout.ts";
import { RecordFlag, RecordKind } from "../format/record.ts";
import type { MapRoot } from "../map/map-root.ts";
import type { VolumeObject } from "./catalogue.ts";
import { applyClear, applyResize, residentForClear } from "./clear-record.ts";
import { EdgePage } from "./edge-page.ts";

/** Range that one zero or trim record covers at most: 32 GiB, bounded work. */
const CLEAR_BYTES_MAX = 32 * LEAF_PAGES * FANOUT * PAGE_BYTES;

export class VolumeWriter {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  write(volume: VolumeObject, offset: number, source: Uint8Array, flags: number): Completion {
    const inPage = offset % PAGE_BYTES;
    const tail = (offset + source.length) % PAGE_BYTES;
    if (inPage === 0 && tail === 0) {
      // While a batch flies this one waits anyway, so other threads have time for its checksums.
      const sums = this.#engine.log.isFlying ? this.#engine.world.pageThreads?.checksums(source) : undefined;
      if (sums === undefined) return this.#writeAligned(volume, offset, source, flags, undefined);
      return sums.then((known) => this.#writeAligned(volume, offset, source, flags, known));
    }
    const wait = this.#tryUnaligned(volume, offset, source, undefined);
    if (wait === undefined) return this.finish(flags);
    const edges = this.#edges(offset, offset + source.length);
    return persist(wait, () => this.#tryUnaligned(volume, offset, source, edges)).then(() =>
      this.finish(flags),
    );
  }

  #writeAligned(
    volume: VolumeObject,
    offset: number,
    source: Uint8Array,
    flags: number,
    checksums: Uint32Array | undefined,
  ): Completion {
    const wait = this.#tryAligned(volume, offset, source, checksums);
    if (wait === undefined) return this.finish(flags);
    return persist(wait, () => this.#tryAligned(volume, offset, source, checksums)).then(() =>
      this.finish(flags),
    );
  }

  finish(flags: number): Completion {
    const { log, world } = this.#engine;
    if ((flags & RequestFlag.fua) !== 0) return log.flush();
    return world.plants?.has("early-ack") ? undefined : log.whenWritten();
  }

  #tryAligned(
    volume: VolumeObject,
    offset: number,
    source: Uint8Array,
    checksums: Uint32Array | undefined,
  ): Promise<void> | undefined {
    const engine = this.#engine;
    const { tree, log } = engine;
    inside(volume, offset + source.length);
    const first = offset / PAGE_BYTES;
    const count = source.length / PAGE_BYTES;
    if (!residentForWrite(engine, volume.map, first, count)) return engine.fetchMissing();
    const wait = engine.admit(source.length, 0, { privileged: false });
    if (wait !== undefined) return wait;
    const position = log.append({
      kind: RecordKind.write,
      flags: 0,
      volume: volume.id,
      offset,
      length: source.length,
      data: [source],
      checksums,
    });
    tree.mapData(volume.map, first, count, log.segment, position, log.checksums, log.checksumsAt);
    engine.counters.clientBytesWritten += source.length;
    return undefined;
  }

  #edges(offset: number, end: number): EdgePage[] {
    const first = Math.floor(offset / PAGE_BYTES);
    const last = Math.floor((end - 1) / PAGE_BYTES);
    const head = offset % PAGE_BYTES !== 0 || (first === last && end % PAGE_BYTES !== 0);
    const edges: EdgePage[] = [];
    edges[0] = new EdgePage(first);
    edges[1] = new EdgePage(last);
    if (!head) delete edges[0];
    if (end % PAGE_BYTES === 0 || (head && first === last)) delete edges[1];
    return edges;
  }

  #tryUnaligned(
    volume: VolumeObject,
    offset: number,
    source: Uint8Array,
    known: EdgePage[] | undefined,
  ): Promise<void> | undefined {
    const engine = this.#engine;
    const { tree, log } = engine;
    inside(volume, offset + source.length);
    const end = offset + source.length;
    const first = Math.floor(offset / PAGE_BYTES);
    const count = Math.ceil(end / PAGE_BYTES) - first;
    const edges = known ?? this.#edges(offset, end);
    if (!residentForWrite(engine, volume.map, first, count)) return engine.fetchMissing();
    const wait = engine.admit(count * PAGE_BYTES, 0, { privileged: false });
    if (wait !== undefined) return wait;
    const data: Uint8Array[] = [];
    let body = 0;
    if (edges[0] !== undefined) {
      const merged = this.#merge(
        volume,
        edges[0],
        offset % PAGE_BYTES,
        source.subarray(0, Math.min(source.length, PAGE_BYTES - (offset % PAGE_BYTES))),
      );
      if (merged instanceof Promise) return merged;
      data.push(merged);
      body = Math.min(source.length, PAGE_BYTES - (offset % PAGE_BYTES));
    }
    const tail = edges[1] === undefined ? 0 : end % PAGE_BYTES;
    if (source.length - tail > body) data.push(source.subarray(body, source.length - tail));
    if (edges[1] !== undefined) {
      const merged = this.#merge(volume, edges[1], 0, source.subarray(source.length - tail));
      if (merged instanceof Promise) return merged;
      data.push(merged);
    }
    const position = log.append({
      kind: RecordKind.write,
      flags: 0,
      volume: volume.id,
      offset,
      length: source.length,
      data,
    });
    tree.mapData(volume.map, first, count, log.segment, position, log.checksums, log.checksumsAt);
    engine.counters.clientBytesWritten += source.length;
    return undefined;
  }

  /** A page with `part` put at `at`; a promise when the page must be waited for. */
  #merge(
    volume: VolumeObject,
    edge: EdgePage,
    at: number,
    part: Uint8Array | undefined,
    zeros = 0,
  ): Uint8Array | Promise<void> {
    const present = edge.present(this.#engine, volume.map);
    if (present === undefined) return edge.wait(this.#engine, volume.map);
    const merged = present === null ? new Uint8Array(PAGE_BYTES) : present.slice();
    if (part === undefined) merged.fill(0, at, at + zeros);
    else merged.set(part, at);
    return merged;
  }

  zero(volume: VolumeObject, offset: number, length: number, flags: number): Completion {
    const noHole = (flags & RequestFlag.noHole) !== 0;
    return this.#clear(volume, RecordKind.zero, noHole ? RecordFlag.noHole : 0, offset, length, flags);
  }

  trim(volume: VolumeObject, offset: number, length: number, flags: number): Completion {
    return this.#clear(volume, RecordKind.trim, 0, offset, length, flags);
  }

  #clear(
    volume: VolumeObject,
    kind: number,
    recordFlags: number,
    offset: number,
    length: number,
    flags: number,
  ): Completion {
    if (length > CLEAR_BYTES_MAX) return this.#clearPieces(volume, kind, recordFlags, offset, length, flags);
    const edges = {
      head: new EdgePage(Math.floor(offset / PAGE_BYTES)),
      tail: new EdgePage(Math.floor((offset + length) / PAGE_BYTES)),
    };
    const attempt = () => this.#tryClear(volume, kind, recordFlags, offset, length, edges);
    const wait = attempt();
    if (wait === undefined) return this.finish(flags);
    return persist(wait, attempt).then(() => this.finish(flags));
  }

  async #clearPieces(
    volume: VolumeObject,
    kind: number,
    recordFlags: number,
    offset: number,
    length: number,
    flags: number,
  ): Promise<void> {
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, CLEAR_BYTES_MAX - ((offset + done) % CLEAR_BYTES_MAX));
      await this.#clear(volume, kind, recordFlags, offset + done, piece, RequestFlag.none);
      done += piece;
    }
    await this.finish(flags);
  }

  #tryClear(
    volume: VolumeObject,
    kind: number,
    recordFlags: number,
    offset: number,
    length: number,
    edges: { head: EdgePage; tail: EdgePage },
  ): Promise<void> | undefined {
    const engine = this.#engine;
    const { log } = engine;
    alive(volume);
    const end = Math.min(offset + length, volume.map.sizeBytes);
    const firstWhole = Math.ceil(offset / PAGE_BYTES);
    // The last page of a volume whose size is no multiple of pages is whole when it is cleared up to the size.
    const endWhole =
      end === volume.map.sizeBytes ? Math.ceil(end / PAGE_BYTES) : Math.floor(end / PAGE_BYTES);
    const firstPage = Math.floor(offset / PAGE_BYTES);
    if (!residentForClear(engine, volume.map, offset, end)) return engine.fetchMissing();
    const wait = engine.admit(2 * PAGE_BYTES, 0, { privileged: true });
    if (wait !== undefined) return wait;
    const data: Uint8Array[] = [];
    let flags = recordFlags;
    if (firstPage < firstWhole) {
      const at = offset % PAGE_BYTES;
      const merged = this.#cleared(volume, edges.head, at, Math.min(PAGE_BYTES - at, end - offset));
      if (merged instanceof Promise) return merged;
      if (merged !== undefined) {
        data.push(merged);
        flags |= RecordFlag.headEdge;
      }
    }
    if (endWhole >= firstWhole && endWhole * PAGE_BYTES < end) {
      const merged = this.#cleared(volume, edges.tail, 0, end % PAGE_BYTES);
      if (merged instanceof Promise) return merged;
      if (merged !== undefined) {
        data.push(merged);
        flags |= RecordFlag.tailEdge;
      }
    }
    const position = log.append({ kind, flags, volume: volume.id, offset, length, data });
    applyClear(
      engine,
      volume,
      { flags, offset, length: end - offset, position, sums: log.checksums, sumsAt: log.checksumsAt },
      log.segment,
    );
    return undefined;
  }

  /** A page with a range zeroed, or undefined when it reads as zeros already. */
  #cleared(
    volume: VolumeObject,
    edge: EdgePage,
    at: number,
    length: number,
  ): Uint8Array | undefined | Promise<void> {
    const present = edge.present(this.#engine, volume.map);
    if (present === null) return undefined;
    return this.#merge(volume, edge, at, undefined, length);
  }

  /** Resolves when the new size is durable. */
  async resize(volume: VolumeObject, sizeBytes: number, guard: () => void): Promise<void> {
    alive(volume);
    // A long cut is made in pieces from the end, so that the record that changes the size is bounded work too.
    let end = volume.map.sizeBytes;
    while (end - sizeBytes > CLEAR_BYTES_MAX) {
      const from = Math.max(roundUp(sizeBytes, PAGE_BYTES), end - CLEAR_BYTES_MAX);
      await this.#clear(volume, RecordKind.trim, 0, from, end - from, RequestFlag.none);
      end = from;
    }
    const edge = new EdgePage(Math.floor(sizeBytes / PAGE_BYTES));
    const attempt = () => {
      guard();
      return this.#tryResize(volume, sizeBytes, edge);
    };
    const wait = attempt();
    if (wait !== undefined) await persist(wait, attempt);
    await this.#engine.log.flush();
  }

  #tryResize(volume: VolumeObject, sizeBytes: number, edge: EdgePage): Promise<void> | undefined {
    const engine = this.#engine;
    const { log } = engine;
    alive(volume);
    const { map } = volume;
    const data: Uint8Array[] = [];
    let flags = 0;
    const shrinks = sizeBytes < map.sizeBytes;
    if (shrinks && !residentForClear(engine, map, sizeBytes, map.sizeBytes)) return engine.fetchMissing();
    const wait = engine.admit(PAGE_BYTES, 0, { privileged: true });
    if (wait !== undefined) return wait;
    if (shrinks && sizeBytes % PAGE_BYTES !== 0) {
      const at = sizeBytes % PAGE_BYTES;
      const merged = this.#cleared(volume, edge, at, PAGE_BYTES - at);
      if (merged instanceof Promise) return merged;
      if (merged !== undefined) {
        data.push(merged);
        flags |= RecordFlag.headEdge;
      }
    }
    const position = log.append({
      kind: RecordKind.resize,
      flags,
      volume: volume.id,
      offset: 0,
      length: sizeBytes,
      data,
    });
    applyResize(
      engine,
      volume,
      { flags, offset: 0, length: sizeBytes, position, sums: log.checksums, sumsAt: log.checksumsAt },
      log.segment,
    );
    return undefined;
  }
}

/** Whether the nodes that a write changes are in memory. */
export function residentForWrite(engine: Engine, map: MapRoot, firstPage: number, count: number): boolean {
  for (let leaf = Math.floor(firstPage / LEAF_PAGES); leaf * LEAF_PAGES < firstPage + count; leaf += 1) {
    if (!engine.tree.resident(map, leaf)) return false;
  }
  return true;
}

/** The volume may have been deleted or cut while the request waited. */
function inside(volume: VolumeObject, end: number): void {
  alive(volume);
  if (end > volume.map.sizeBytes)
    throw new RopewalkError("NO_SPACE", "the write ends past the end of the volume");
}

function alive(volume: VolumeObject): void {
  if (volume.gone) throw new RopewalkError("VOLUME_NOT_FOUND", "the volume was deleted");
}
