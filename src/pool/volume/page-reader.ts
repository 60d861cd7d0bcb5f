/**
 * Reads of a map: pages are looked up, read in runs, and compared with their checksums.
 *
 * Always holds: bytes are returned only when they match; a block being read is not discarded meanwhile (a read
 * that waits counts on its segment). Errors: CHECKSUM_MISMATCH, IO_ERROR.
 */
import { checksumAt } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Engine } from "../engine.ts";
import { LEAF_PAGES, PAGE_BYTES } from "../format/layout.ts";
import { EntryKind, KIND_SHIFT } from "../map/leaf.ts";
import { ENTRY_WORDS } from "../map/leaf-slab.ts";
import type { MapRoot } from "../map/map-root.ts";
import { Found } from "../map/tree.ts";

/** Longest run read at once. */
const RUN_PAGES_MAX = 256;

export class PageReader {
  readonly #engine: Engine;
  readonly #page = new Uint8Array(PAGE_BYTES);
  readonly #sums = new Uint32Array(RUN_PAGES_MAX);
  /** The run found by `#findRun`. */
  #kind: number = EntryKind.hole;
  #segment = 0;
  #offset = 0;
  #pages = 0;
  /** A long read came in this turn of the loop. */
  #readThisTurn = false;
  readonly #turnEnded = () => {
    this.#readThisTurn = false;
  };

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Fills `target` with the map's bytes at `offset`; undefined when that was done at once. */
  read(map: () => MapRoot, offset: number, target: Uint8Array): Promise<void> | undefined {
    if (target.length >= this.#engine.settings.readAsideBytes) {
      const aside = this.#readAside(map, offset, target);
      if (aside !== undefined) return aside;
    }
    return this.#read(map, offset, target);
  }

  /**
   * Has other threads read and compare a long read, while more of them come: one by itself is faster read here.
   * Undefined when it is not theirs. What they do not find, or find different, is read in the ordinary way.
   */
  #readAside(map: () => MapRoot, offset: number, target: Uint8Array): Promise<void> | undefined {
    const { world, segments } = this.#engine;
    if (world.pageThreads === undefined || offset % PAGE_BYTES !== 0 || target.length % PAGE_BYTES !== 0)
      return undefined;
    const isFirst = !this.#readThisTurn && world.pageThreads.inWork === 0;
    if (!this.#readThisTurn) {
      this.#readThisTurn = true;
      world.clock.soon(this.#turnEnded);
    }
    if (isFirst) return undefined;
    const pages = target.length / PAGE_BYTES;
    if (!this.#findRun(map(), offset / PAGE_BYTES, pages)) return undefined;
    if (this.#pages < pages || this.#kind !== EntryKind.own) return undefined;
    if (!this.#settled(this.#segment, this.#offset, pages)) return undefined;
    const reading = segments.readPages(this.#segment, this.#offset, target, this.#sums.subarray(0, pages));
    return reading?.then((matches) => {
      if (matches) this.#engine.counters.clientBytesRead += target.length;
      return matches ? undefined : this.#read(map, offset, target);
    });
  }

  #read(map: () => MapRoot, offset: number, target: Uint8Array): Promise<void> | undefined {
    let done = 0;
    while (done < target.length) {
      const advanced = this.#readRunNow(map(), offset + done, target, done);
      if (advanced < 0) return this.#readWaiting(map, offset, target, done);
      done += advanced;
    }
    this.#engine.counters.clientBytesRead += target.length;
    return undefined;
  }

  /** Finds the run of pages that begins at a page: false when a node is missing. */
  #findRun(map: MapRoot, page: number, pagesMax: number): boolean {
    const { tree } = this.#engine;
    const slot = page % LEAF_PAGES;
    const limit = Math.min(pagesMax, LEAF_PAGES - slot, RUN_PAGES_MAX);
    const leaf = tree.findLeaf(map, Math.floor(page / LEAF_PAGES));
    if (typeof leaf === "number") {
      if (leaf === Found.missing) return false;
      this.#kind = EntryKind.hole;
      this.#pages = limit;
      return true;
    }
    const kind = tree.resolve(leaf, slot);
    if (kind < 0) return false;
    this.#kind = kind;
    this.#pages = 1;
    if (kind === EntryKind.hole) {
      this.#pages = Math.min(limit, leaf.nextPresent(slot) - slot);
      return true;
    }
    if (kind !== EntryKind.own) return true;
    this.#segment = tree.entrySegment;
    this.#offset = tree.entryOffset;
    this.#sums[0] = tree.entrySum;
    const at = leaf.find(slot);
    const own = leaf.words[at]! >>> KIND_SHIFT === EntryKind.own;
    while (this.#pages < limit) {
      const next = slot + this.#pages;
      if (own) {
        // Entries of present pages stand one behind the other, so the run goes on without another lookup.
        const word = at + this.#pages * ENTRY_WORDS;
        if (leaf.nextPresent(next) !== next) break;
        if (
          leaf.words[word] !== this.#segment ||
          leaf.words[word + 1] !== this.#offset + this.#pages * PAGE_BYTES
        )
          break;
        this.#sums[this.#pages] = leaf.words[word + 2]!;
      } else {
        if (tree.resolve(leaf, next) !== EntryKind.own) break;
        if (
          tree.entrySegment !== this.#segment ||
          tree.entryOffset !== this.#offset + this.#pages * PAGE_BYTES
        )
          break;
        this.#sums[this.#pages] = tree.entrySum;
      }
      this.#pages += 1;
    }
    return true;
  }

  /** Reads one run without waiting. Returns the bytes filled, or -1 when something must be waited for. */
  #readRunNow(map: MapRoot, offset: number, target: Uint8Array, at: number): number {
    const page = Math.floor(offset / PAGE_BYTES);
    const inPage = offset % PAGE_BYTES;
    const wanted = target.length - at;
    if (!this.#findRun(map, page, Math.ceil((inPage + wanted) / PAGE_BYTES))) return -1;
    const bytes = Math.min(wanted, this.#pages * PAGE_BYTES - inPage);
    if (this.#kind !== EntryKind.own) {
      target.fill(0, at, at + bytes);
      return bytes;
    }
    if (!this.#settled(this.#segment, this.#offset, this.#pages)) return -1;
    const { segments } = this.#engine;
    if (inPage === 0 && bytes >= PAGE_BYTES) {
      const whole = bytes - (bytes % PAGE_BYTES);
      if (!segments.readNow(this.#segment, this.#offset, target, at, whole)) return -1;
      this.#verify(target, at, whole / PAGE_BYTES, this.#sums, this.#segment, this.#offset);
      return whole;
    }
    if (!segments.readNow(this.#segment, this.#offset, this.#page, 0, PAGE_BYTES)) return -1;
    this.#verify(this.#page, 0, 1, this.#sums, this.#segment, this.#offset);
    const part = Math.min(bytes, PAGE_BYTES - inPage);
    target.set(this.#page.subarray(inPage, inPage + part), at);
    return part;
  }

  /** Data that is not with the kernel yet is handed over before it is read back; false when that is on its way. */
  #settled(segment: number, offset: number, pages: number): boolean {
    const { log } = this.#engine;
    if (segment !== log.segment?.number || offset + pages * PAGE_BYTES <= log.written) return true;
    log.writeOut();
    if (log.failed !== undefined)
      throw new RopewalkError("IO_ERROR", "the data was never written; reopen the pool", {
        cause: log.failed,
      });
    return offset + pages * PAGE_BYTES <= log.written;
  }

  #verify(
    bytes: Uint8Array,
    at: number,
    pages: number,
    sums: Uint32Array,
    segment: number,
    offset: number,
  ): void {
    for (let page = 0; page < pages; page += 1) {
      const from = at + page * PAGE_BYTES;
      if (checksumAt(bytes, from, PAGE_BYTES) !== sums[page]) {
        this.#engine.counters.checksumErrors += 1;
        throw new RopewalkError(
          "CHECKSUM_MISMATCH",
          `data at segment ${segment}, offset ${offset + page * PAGE_BYTES} does not match its checksum`,
        );
      }
    }
  }

  async #readWaiting(map: () => MapRoot, offset: number, target: Uint8Array, from: number): Promise<void> {
    const { segments } = this.#engine;
    let done = from;
    while (done < target.length) {
      const at = offset + done;
      const inPage = at % PAGE_BYTES;
      const wanted = target.length - done;
      if (!this.#findRun(map(), Math.floor(at / PAGE_BYTES), Math.ceil((inPage + wanted) / PAGE_BYTES))) {
        await this.#engine.fetchMissing();
        continue;
      }
      const bytes = Math.min(wanted, this.#pages * PAGE_BYTES - inPage);
      if (this.#kind !== EntryKind.own) {
        target.fill(0, done, done + bytes);
        done += bytes;
        continue;
      }
      const segment = this.#segment;
      const place = this.#offset;
      if (!this.#settled(segment, place, this.#pages)) {
        await this.#engine.log.whenWritten();
        continue;
      }
      const whole = inPage === 0 && bytes >= PAGE_BYTES;
      const pages = whole ? Math.floor(bytes / PAGE_BYTES) : 1;
      const sums = this.#sums.slice(0, pages);
      const buffer = whole ? target : new Uint8Array(PAGE_BYTES);
      const bufferAt = whole ? done : 0;
      await segments.read(segment, place, buffer, bufferAt, pages * PAGE_BYTES);
      this.#verify(buffer, bufferAt, pages, sums, segment, place);
      if (whole) done += pages * PAGE_BYTES;
      else {
        const part = Math.min(bytes, PAGE_BYTES - inPage);
        target.set(buffer.subarray(inPage, inPage + part), done);
        done += part;
      }
    }
    this.#engine.counters.clientBytesRead += target.length - from;
  }
}
