/**
 * A block device in memory, for tests: sparse, and gone with the process.
 *
 * Always holds: every request is done when the call returns; a page that nothing was written to, or that was
 * trimmed or zeroed whole without `noHole`, takes no memory. Unchecked, like every device: see `checked-device.ts`.
 */
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type ExtentKind,
  type Geometry,
  RequestFlag,
} from "./block-device.ts";

const PAGE_BYTES = 4096;

/** Allocated, and known to be zeros. */
const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

export interface MemoryDeviceOptions {
  readonly sizeBytes: number;
  readonly geometry?: Partial<Geometry>;
  readonly capabilities?: Partial<Capabilities>;
}

export class MemoryDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload = undefined;
  #sizeBytes: number;
  readonly #pages = new Map<number, Uint8Array>();

  constructor({ sizeBytes, geometry, capabilities }: MemoryDeviceOptions) {
    this.#sizeBytes = sizeBytes;
    this.geometry = {
      minimumBlockBytes: 1,
      preferredBlockBytes: PAGE_BYTES,
      maximumRequestBytes: 32 * 1024 * 1024,
      ...geometry,
    };
    this.capabilities = {
      writable: true,
      flush: "native",
      fua: "native",
      trim: "native",
      zero: "native",
      fastZero: "native",
      extents: "native",
      sharedFlush: true,
      rotational: false,
      ...capabilities,
    };
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Pages that take memory. */
  get allocatedPages(): number {
    let count = 0;
    for (const page of this.#pages.values()) if (page !== ZERO_PAGE) count++;
    return count;
  }

  /** What lies past a smaller size is forgotten, and reads as zeros should the device grow again. */
  resize(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) this.#clear(sizeBytes, this.#sizeBytes - sizeBytes, undefined);
    this.#sizeBytes = sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    for (let done = 0; done < target.length; ) {
      const within = (offset + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - within, target.length - done);
      const page = this.#pages.get((offset + done - within) / PAGE_BYTES) ?? ZERO_PAGE;
      target.set(page.subarray(within, within + length), done);
      done += length;
    }
    return undefined;
  }

  write(offset: number, source: Uint8Array, _flags: number): Completion {
    for (let done = 0; done < source.length; ) {
      const within = (offset + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - within, source.length - done);
      this.#ownPage((offset + done - within) / PAGE_BYTES).set(source.subarray(done, done + length), within);
      done += length;
    }
    return undefined;
  }

  zero(offset: number, length: number, flags: number): Completion {
    this.#clear(offset, length, flags & RequestFlag.noHole ? ZERO_PAGE : undefined);
    return undefined;
  }

  trim(offset: number, length: number, _flags: number): Completion {
    this.#clear(offset, length, undefined);
    return undefined;
  }

  flush(): Completion {
    return undefined;
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] {
    const extents: Extent[] = [];
    const end = offset + length;
    let start = offset;
    while (start < end) {
      const kind = this.#kindOf(start);
      let next = start;
      do next = Math.min(next - (next % PAGE_BYTES) + PAGE_BYTES, end);
      while (next < end && this.#kindOf(next) === kind);
      if (extents.push({ offsetBytes: start, lengthBytes: next - start, kind }) === extentsMax) break;
      start = next;
    }
    return extents;
  }

  async close(): Promise<void> {}

  #kindOf(offset: number): ExtentKind {
    const page = this.#pages.get(Math.floor(offset / PAGE_BYTES));
    if (page === undefined) return "hole";
    return page === ZERO_PAGE ? "zero" : "data";
  }

  #ownPage(number: number): Uint8Array {
    const page = this.#pages.get(number);
    if (page !== undefined && page !== ZERO_PAGE) return page;
    const fresh = new Uint8Array(PAGE_BYTES);
    this.#pages.set(number, fresh);
    return fresh;
  }

  /** Puts `replacement` in the place of whole pages, and zeros into parts of those that hold data. */
  #clear(offset: number, length: number, replacement: Uint8Array | undefined): void {
    for (let done = 0; done < length; ) {
      const within = (offset + done) % PAGE_BYTES;
      const step = Math.min(PAGE_BYTES - within, length - done);
      const number = (offset + done - within) / PAGE_BYTES;
      if (step === PAGE_BYTES && replacement === undefined) this.#pages.delete(number);
      else if (step === PAGE_BYTES) this.#pages.set(number, ZERO_PAGE);
      else if (this.#kindOf(offset + done) === "data") this.#ownPage(number).fill(0, within, within + step);
      else if (replacement !== undefined) this.#pages.set(number, ZERO_PAGE);
      done += step;
    }
  }
}
