/**
 * A block device in memory, sparse, for the front end's tests and for measuring it without a pool.
 *
 * Always holds: a page is allocated by the first write to it; trim gives pages back. How operations end is the
 * test's to choose: at once, or with a promise that one turn's requests share.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type ExtentKind,
  type Geometry,
  RequestFlag,
} from "../../device/mod.ts";

const PAGE_BYTES = 4096;

export interface MemoryDeviceOptions {
  readonly sizeBytes: number;
  readonly geometry?: Partial<Geometry>;
  readonly capabilities?: Partial<Capabilities>;
  /** `together`: requests of one turn end with one promise, as a group commit does. */
  readonly completes?: "at once" | "together";
}

export type MemoryOperation = "read" | "write" | "zero" | "trim" | "flush" | "extents";

export class MemoryDevice implements BlockDevice {
  sizeBytes: number;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly #pages = new Map<number, Buffer | "zero">();
  readonly #completes: "at once" | "together";
  #turn: Promise<void> | undefined;
  /** What was called, in order: `write 4096+512 fua`. */
  readonly calls: string[] = [];
  recording = false;
  closings = 0;
  /** Called before each operation; may throw or return a promise that ends it. */
  intervene: ((operation: MemoryOperation, offset: number, length: number) => Completion) | undefined;

  constructor(options: MemoryDeviceOptions) {
    this.sizeBytes = options.sizeBytes;
    this.geometry = {
      minimumBlockBytes: 1,
      preferredBlockBytes: PAGE_BYTES,
      maximumRequestBytes: 32 * 1024 * 1024,
      ...options.geometry,
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
      ...options.capabilities,
    };
    this.#completes = options.completes ?? "at once";
  }

  read(offset: number, target: Uint8Array): Completion {
    const fill = () => {
      for (let done = 0; done < target.length; ) {
        const within = (offset + done) % PAGE_BYTES;
        const bytes = Math.min(PAGE_BYTES - within, target.length - done);
        const page = this.#pages.get(Math.floor((offset + done) / PAGE_BYTES));
        if (page instanceof Buffer) page.copy(target, done, within, within + bytes);
        else target.fill(0, done, done + bytes);
        done += bytes;
      }
    };
    return this.#operation("read", offset, target.length, 0, fill);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const store = () => {
      for (let done = 0; done < source.length; ) {
        const within = (offset + done) % PAGE_BYTES;
        const bytes = Math.min(PAGE_BYTES - within, source.length - done);
        this.#page(Math.floor((offset + done) / PAGE_BYTES)).set(source.subarray(done, done + bytes), within);
        done += bytes;
      }
    };
    return this.#operation("write", offset, source.length, flags, store);
  }

  zero(offset: number, length: number, flags: number): Completion {
    const whole = (flags & RequestFlag.noHole) !== 0 ? ("zero" as const) : undefined;
    return this.#operation("zero", offset, length, flags, () => this.#clear(offset, length, whole));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#operation("trim", offset, length, flags, () => this.#clear(offset, length, undefined));
  }

  flush(): Completion {
    return this.#operation("flush", 0, 0, 0, () => {});
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const find = () => this.#extents(offset, length, extentsMax);
    const ends = this.intervene?.("extents", offset, length);
    if (this.recording) this.calls.push(`extents ${offset}+${length}`);
    return ends === undefined ? find() : ends.then(find);
  }

  close(): Promise<void> {
    this.closings++;
    return Promise.resolve();
  }

  #operation(name: MemoryOperation, offset: number, length: number, flags: number, work: () => void): Completion {
    if (offset + length > this.sizeBytes) throw new RopewalkError("INVALID_RANGE", "beyond the device");
    if (this.recording) this.calls.push(describe(name, offset, length, flags));
    const ends = this.intervene?.(name, offset, length);
    if (ends !== undefined) return ends.then(work);
    if (this.#completes === "at once") {
      work();
      return undefined;
    }
    this.#turn ??= Promise.resolve().then(() => {
      this.#turn = undefined;
    });
    // The work is done in the same turn, as late as the contract allows.
    void this.#turn.then(work);
    return this.#turn;
  }

  #page(index: number): Buffer {
    const page = this.#pages.get(index);
    if (page instanceof Buffer) return page;
    const fresh = Buffer.alloc(PAGE_BYTES);
    this.#pages.set(index, fresh);
    return fresh;
  }

  #clear(offset: number, length: number, whole: "zero" | undefined): void {
    for (let position = offset; position < offset + length; ) {
      const index = Math.floor(position / PAGE_BYTES);
      const within = position % PAGE_BYTES;
      const bytes = Math.min(PAGE_BYTES - within, offset + length - position);
      const page = this.#pages.get(index);
      if (bytes === PAGE_BYTES) {
        if (whole === undefined) this.#pages.delete(index);
        else this.#pages.set(index, whole);
      } else if (page instanceof Buffer) page.fill(0, within, within + bytes);
      position += bytes;
    }
  }

  #extents(offset: number, length: number, extentsMax: number): Extent[] {
    const end = Math.min(offset + length, this.sizeBytes);
    const extents: { offsetBytes: number; lengthBytes: number; kind: ExtentKind }[] = [];
    for (let position = offset; position < end; ) {
      const index = Math.floor(position / PAGE_BYTES);
      const page = this.#pages.get(index);
      const kind = page instanceof Buffer ? "data" : page === "zero" ? "zero" : "hole";
      const until = Math.min((index + 1) * PAGE_BYTES, end);
      const last = extents.at(-1);
      if (last?.kind === kind) last.lengthBytes += until - position;
      else if (extents.length === extentsMax) break;
      else extents.push({ offsetBytes: position, lengthBytes: until - position, kind });
      position = until;
    }
    return extents;
  }
}

function describe(name: string, offset: number, length: number, flags: number): string {
  const words = [`${name} ${offset}+${length}`];
  if ((flags & RequestFlag.fua) !== 0) words.push("fua");
  if ((flags & RequestFlag.noHole) !== 0) words.push("no-hole");
  if ((flags & RequestFlag.fast) !== 0) words.push("fast");
  return words.join(" ");
}
