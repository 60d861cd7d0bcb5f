// A device around a memory device that writes down what it is asked for, and ends operations as a test wants:
// at once, all of a turn with one promise (as a group commit does), or when the test says so.
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type Geometry,
  MemoryDevice,
  type MemoryDeviceOptions,
  RequestFlag,
} from "../../src/device/mod.ts";

export type Operation = "read" | "write" | "zero" | "trim" | "flush" | "extents";

export class ObservedDevice implements BlockDevice {
  readonly inner: MemoryDevice;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload = undefined;
  /** What was called, in order: `write 4096+512 fua`. */
  readonly calls: string[] = [];
  closings = 0;
  /** Requests of one turn end together, at the end of the turn, and read their memory only then. */
  together = false;
  /** Called before each operation: may throw, or return a promise that must end first. */
  before: ((operation: Operation, offset: number, length: number) => Promise<void> | undefined) | undefined;
  #turn: Promise<void> | undefined;

  constructor(options: MemoryDeviceOptions) {
    this.inner = new MemoryDevice(options);
    this.geometry = this.inner.geometry;
    this.capabilities = this.inner.capabilities;
  }

  get sizeBytes(): number {
    return this.inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#do("read", offset, target.length, 0, () => this.inner.read(offset, target));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    return this.#do("write", offset, source.length, flags, () => this.inner.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    return this.#do("zero", offset, length, flags, () => this.inner.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#do("trim", offset, length, flags, () => this.inner.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.#do("flush", 0, 0, 0, () => this.inner.flush());
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const wait = this.before?.("extents", offset, length);
    const find = () => this.inner.extents(offset, length, extentsMax);
    if (wait !== undefined) return wait.then(find);
    return this.together ? Promise.resolve().then(find) : find();
  }

  async close(): Promise<void> {
    this.closings++;
    await this.inner.close();
  }

  #do(operation: Operation, offset: number, length: number, flags: number, work: () => void): Completion {
    this.calls.push(describe(operation, offset, length, flags));
    const wait = this.before?.(operation, offset, length);
    if (wait !== undefined) return wait.then(work);
    if (!this.together) {
      work();
      return undefined;
    }
    this.#works.push(work);
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        for (const each of this.#works.splice(0)) each();
        resolve();
      });
    });
    return this.#turn;
  }

  readonly #works: (() => void)[] = [];
}

function describe(operation: Operation, offset: number, length: number, flags: number): string {
  const words = [`${operation} ${offset}+${length}`];
  if ((flags & RequestFlag.fua) !== 0) words.push("fua");
  if ((flags & RequestFlag.noHole) !== 0) words.push("noHole");
  if ((flags & RequestFlag.fast) !== 0) words.push("fast");
  return words.join(" ");
}
