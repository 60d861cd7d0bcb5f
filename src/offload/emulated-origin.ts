/**
 * A device that cannot offload, behind tokens that this layer keeps (T19): before a block is overwritten, what tokens
 * still stand for is saved in memory.
 *
 * Always holds: all changes come through `change`; one is let through when everything that it overwrites is saved; a
 * bind waits for changes under way, and changes for it. What cannot be saved (no memory, a read that fails) ends
 * the tokens that need it, never the change.
 */
import { RopewalkError } from "../base/errors.ts";
import type { BlockDevice, ByteRange, Completion, Extent } from "../device/mod.ts";
import type { ChecksumFiles } from "./checksum-files.ts";
import { KeptChecksums } from "./kept-checksums.ts";
import { LastingChecksums } from "./lasting-checksums.ts";
import { PRESERVED_BLOCK_BYTES, PreservedBlocks, type SavedBlock } from "./preserved-blocks.ts";
import { RangeIndex } from "./range-index.ts";
import type { TokenBacking, TokenContent, TokenOrigin } from "./token-backing.ts";

const SAVED_AT_ONCE_BYTES = 2 ** 20;
/** How far one look goes for saved blocks: in data as far as is moved at once, in holes much further. */
const LOOKED_AT_BYTES = { data: 2 ** 20, hole: 2 ** 30, zero: 2 ** 30 } as const;
const ZERO_BLOCK = new Uint8Array(PRESERVED_BLOCK_BYTES);

export interface EmulatedOriginEvents {
  /** The ranges of these tokens change. */
  changed(slots: Iterable<number>): void;
  /** Memory of preserved blocks is full; gives up a token of the origin, or says that there is none. */
  giveUp(origin: EmulatedOrigin): boolean;
  closed(origin: EmulatedOrigin): void;
  /** So much is about to be saved; may give up a token of the origin for it. */
  saving(origin: EmulatedOrigin, bytes: number): void;
}

export class EmulatedOrigin implements TokenOrigin {
  readonly provider: string;
  readonly description: string;
  readonly watched = new RangeIndex();
  /** Of what token writes left here. */
  readonly checksums: KeptChecksums;
  /** Where they are between openings, if they outlive them. */
  readonly lasting: LastingChecksums | undefined;
  readonly #events: EmulatedOriginEvents;
  readonly #preservedBytesMax: number;
  readonly #openings = new Set<BlockDevice>();
  readonly #saved = new PreservedBlocks();
  /** Bindings whose data must be kept, by number. */
  readonly #bindings = new Map<number, EmulatedBinding>();
  readonly #kept = new RangeIndex();
  #nextBinding = 1;
  /** Counts binds that a change came before. */
  #time = 1;
  #isChangedSinceBind = false;
  #changing = 0;
  #quiet: (() => void) | undefined;
  #binding: Promise<unknown> | undefined;

  constructor(options: {
    id: string;
    description: string;
    preservedBytesMax: number;
    checksumBytesMax: number;
    /** Where checksums are kept under this name of the device's contents. */
    lasting?: { readonly files: ChecksumFiles; readonly name: string } | undefined;
    events: EmulatedOriginEvents;
  }) {
    this.checksums = new KeptChecksums({
      bytesMax: options.checksumBytesMax,
      description: options.description,
    });
    const { lasting, id } = options;
    this.lasting =
      lasting &&
      new LastingChecksums({
        files: lasting.files,
        device: `${id}\n${lasting.name}`,
        kept: this.checksums,
      });
    this.provider = id;
    this.description = options.description;
    this.#preservedBytesMax = options.preservedBytesMax;
    this.#events = options.events;
  }

  exists(): boolean {
    return this.#openings.size > 0;
  }

  opened(base: BlockDevice): void {
    this.#openings.add(base);
  }

  /** After the last one nobody can read what tokens stand for; what outlives it is durable when this resolves. */
  async closed(base: BlockDevice): Promise<void> {
    this.#openings.delete(base);
    if (this.#openings.size > 0) return;
    this.#events.closed(this);
    await this.lasting?.save(base, (act) => this.betweenChanges(act));
  }

  /** Binds the data as it is between two changes; counted once for the caller. */
  bind(ranges: readonly ByteRange[]): Promise<EmulatedBinding> {
    return this.betweenChanges(() => {
      if (this.#isChangedSinceBind) this.#time += 1;
      this.#isChangedSinceBind = false;
      const binding = new EmulatedBinding(this, this.#nextBinding++, this.#time);
      this.#bindings.set(binding.number, binding);
      this.#kept.add(binding.number, ranges);
      return binding;
    });
  }

  /** Does something in a moment in which no change is under way; changes that come wait for it. */
  async betweenChanges<Result>(act: () => Result): Promise<Result> {
    while (this.#binding !== undefined) await this.#binding;
    const done = this.#whenQuiet().then(act);
    this.#binding = done;
    try {
      return await done;
    } finally {
      this.#binding = undefined;
    }
  }

  #whenQuiet(): Promise<void> {
    if (this.#changing === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#quiet = resolve));
  }

  /** Lets a change through `act` when what it overwrites is saved. */
  change(offset: number, length: number, act: () => Completion): Completion {
    if (length === 0) return act();
    if (this.lasting?.isGone === false) return this.#changeWhenGone(offset, length, act);
    if (!this.checksums.isIdle) this.checksums.changed(offset, length);
    if (this.#binding !== undefined) return this.#changeLater(offset, length, act);
    if (!this.watched.isEmpty) this.#events.changed(this.watched.find(offset, length));
    // The watch knows a token from when it was handed out, the binding from when its data was bound.
    if (this.#bindings.size > 0)
      for (const number of this.#kept.find(offset, length)) this.#bindings.get(number)!.isChanged = true;
    this.#changing += 1;
    this.#isChangedSinceBind = true;
    let wait: Completion;
    try {
      wait = this.#bindings.size === 0 ? act() : this.#save(offset, length).then(act);
    } catch (error) {
      this.#changed();
      throw error;
    }
    if (wait === undefined) {
      this.#changed();
      return undefined;
    }
    return wait.finally(() => this.#changed());
  }

  async #changeLater(offset: number, length: number, act: () => Completion): Promise<void> {
    const { actor } = this.checksums;
    while (this.#binding !== undefined) await this.#binding.catch(() => undefined);
    await this.checksums.acting(actor, () => this.change(offset, length, act));
  }

  /** What is stored of checksums must not outlive what they were made of. */
  async #changeWhenGone(offset: number, length: number, act: () => Completion): Promise<void> {
    const { actor } = this.checksums;
    await this.lasting!.gone();
    await this.checksums.acting(actor, () => this.change(offset, length, act));
  }

  #changed(): void {
    this.#changing -= 1;
    if (this.#changing > 0) return;
    this.#quiet?.();
    this.#quiet = undefined;
  }

  async #save(offset: number, length: number): Promise<void> {
    const last = Math.floor((offset + length - 1) / PRESERVED_BLOCK_BYTES);
    let waiting: Promise<void>[] = [];
    for (let block = Math.floor(offset / PRESERVED_BLOCK_BYTES); block <= last; block++) {
      if (this.#bindings.size === 0) break;
      const wait = this.#saveBlock(block);
      if (wait !== undefined) waiting.push(wait);
      if (waiting.length * PRESERVED_BLOCK_BYTES < SAVED_AT_ONCE_BYTES) continue;
      await Promise.all(waiting);
      waiting = [];
    }
    await Promise.all(waiting);
  }

  #saveBlock(block: number): Promise<void> | undefined {
    if (this.#saved.isSaved(block, this.#time)) return this.#saved.underWay(block);
    const start = block * PRESERVED_BLOCK_BYTES;
    if (!this.#kept.touches(start, PRESERVED_BLOCK_BYTES)) return undefined;
    while (this.#saved.sizeBytes + PRESERVED_BLOCK_BYTES > this.#preservedBytesMax) {
      if (!this.#events.giveUp(this)) this.#dropAll();
      if (!this.#kept.touches(start, PRESERVED_BLOCK_BYTES)) return undefined;
    }
    this.#events.saving(this, PRESERVED_BLOCK_BYTES);
    if (!this.#kept.touches(start, PRESERVED_BLOCK_BYTES)) return undefined;
    return this.#read(block, start);
  }

  async #read(block: number, start: number): Promise<void> {
    const saved = this.#saved.begin(block, this.#time);
    const bytes = new Uint8Array(PRESERVED_BLOCK_BYTES);
    try {
      await this.#readBelow(start, bytes);
    } catch {
      // Who needs the block finds it missing; the change goes on.
      for (const number of this.#kept.find(start, PRESERVED_BLOCK_BYTES))
        this.#bindings.get(number)!.isLost = true;
    }
    saved.bytes = bytes;
    saved.ready.resolve();
  }

  /** Nothing is kept for anybody any more; whoever still reads hears of it. */
  #dropAll(): void {
    for (const binding of this.#bindings.values()) {
      binding.isLost = true;
      this.#kept.remove(binding.number);
    }
    this.#bindings.clear();
    this.#saved.keepFor(new Set());
  }

  bindings(): Iterable<EmulatedBinding> {
    return this.#bindings.values();
  }

  /** A binding's last user is gone. */
  drop(binding: EmulatedBinding): void {
    if (!this.#bindings.delete(binding.number)) return;
    this.#kept.remove(binding.number);
    this.#saved.keepFor(new Set([...this.#bindings.values()].map(({ time }) => time)));
  }

  /** Tokens' bytes as they were at the binding's time. TOKEN_CANCELLED when they could not be kept */
  async readFor(binding: EmulatedBinding, offset: number, target: Uint8Array): Promise<void> {
    const end = offset + target.length;
    const first = Math.floor(offset / PRESERVED_BLOCK_BYTES);
    const last = Math.floor((end - 1) / PRESERVED_BLOCK_BYTES);
    const allSaved = () => {
      for (let block = first; block <= last; block++)
        if (this.#saved.find(block, binding.time) === undefined) return false;
      return true;
    };
    if (!allSaved()) await this.#readBelow(offset, target);
    // What was saved before or while the device was read is what counts: the change came behind the save.
    for (let block = first; block <= last; block++) {
      const saved = this.#saved.find(block, binding.time);
      if (saved === undefined) continue;
      await saved.ready.promise;
      const start = block * PRESERVED_BLOCK_BYTES;
      const from = Math.max(offset, start);
      const to = Math.min(end, start + PRESERVED_BLOCK_BYTES);
      target.set(saved.bytes!.subarray(from - start, to - start), from - offset);
    }
    binding.check();
  }

  /**
   * The first stretch of a range that is all data or all zeros for the binding. What is not saved when the device has
   * answered had not changed until then, so the answer holds for the binding too. TOKEN_CANCELLED
   */
  async extentFor(binding: EmulatedBinding, { offsetBytes, lengthBytes }: ByteRange): Promise<Extent> {
    const below = await this.#extentBelow(offsetBytes, lengthBytes);
    const end = offsetBytes + Math.min(below.lengthBytes, LOOKED_AT_BYTES[below.kind]);
    let kind: Extent["kind"] | undefined;
    let at = offsetBytes;
    for (
      ;
      at < end && this.#saved.sizeBytes > 0;
      at += PRESERVED_BLOCK_BYTES - (at % PRESERVED_BLOCK_BYTES)
    ) {
      const saved = this.#saved.find(Math.floor(at / PRESERVED_BLOCK_BYTES), binding.time);
      const here = saved === undefined ? below.kind : await kindOf(saved);
      kind ??= here;
      if (here !== kind) break;
    }
    binding.check();
    if (kind === undefined) return below;
    return { offsetBytes, lengthBytes: Math.min(at, end) - offsetBytes, kind };
  }

  /** As the device tells it now; data where it does not. */
  async #extentBelow(offsetBytes: number, lengthBytes: number): Promise<Extent> {
    await this.lasting?.loaded;
    const [device] = this.#openings;
    const unknown: Extent = { offsetBytes, lengthBytes, kind: "data" };
    if (device === undefined || device.capabilities.extents === "absent") return unknown;
    const unit = device.geometry.minimumBlockBytes;
    const start = offsetBytes - (offsetBytes % unit);
    const end = Math.min(Math.ceil((offsetBytes + lengthBytes) / unit) * unit, device.sizeBytes);
    if (end <= offsetBytes) return unknown;
    const [first] = this.checksums.guarded(await device.extents(start, end - start, 1), {
      sizeBytes: device.sizeBytes,
      extentsMax: 1,
    });
    if (first === undefined) return unknown;
    const firstEnd = Math.min(first.offsetBytes + first.lengthBytes, offsetBytes + lengthBytes);
    return { offsetBytes, lengthBytes: firstEnd - offsetBytes, kind: first.kind };
  }

  /** TOKEN_CANCELLED when no opening is left */
  async #readBelow(offset: number, target: Uint8Array): Promise<void> {
    if (this.lasting?.isLoaded === false) await this.lasting.loaded;
    const [device] = this.#openings;
    if (device === undefined)
      throw new RopewalkError("TOKEN_CANCELLED", `${this.description} was closed; its tokens are over.`);
    const unit = device.geometry.minimumBlockBytes;
    const start = offset - (offset % unit);
    const end = Math.ceil((offset + target.length) / unit) * unit;
    if (start === offset && end === offset + target.length)
      return this.checksums.read(device, offset, target);
    const whole = new Uint8Array(end - start);
    await this.checksums.read(device, start, whole);
    target.set(whole.subarray(offset - start, offset - start + target.length));
  }

  get sizeBytes(): number {
    const [device] = this.#openings;
    return device?.sizeBytes ?? 0;
  }
}

/** One token's data as it was when it was bound. */
export class EmulatedBinding implements TokenBacking {
  readonly origin: EmulatedOrigin;
  readonly number: number;
  readonly time: number;
  readonly settled = Promise.resolve();
  slot: number | undefined = undefined;
  /** It could not be kept. */
  isLost = false;
  /** One of its ranges was changed since it was bound. */
  isChanged = false;
  #users = 1;

  constructor(origin: EmulatedOrigin, number: number, time: number) {
    this.origin = origin;
    this.number = number;
    this.time = time;
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) this.origin.drop(this);
  }

  check(): void {
    if (!this.isLost) return;
    throw new RopewalkError("TOKEN_CANCELLED", "What the token stood for could not be kept any longer.");
  }

  open(): Promise<TokenContent> {
    return Promise.resolve({
      pin: undefined,
      sizeBytes: this.origin.sizeBytes,
      read: (offset, target) => this.origin.readFor(this, offset, target),
      extents: async (offsetBytes, lengthBytes) => [
        await this.origin.extentFor(this, { offsetBytes, lengthBytes }),
      ],
      close: () => undefined,
    });
  }

  hasChanged(): Promise<boolean> {
    return Promise.resolve(this.isChanged);
  }
}

/** Tokens that follow the device: each use reads it as it was when the use began. */
export class EmulatedLive implements TokenBacking {
  readonly origin: EmulatedOrigin;
  readonly settled = Promise.resolve();

  constructor(origin: EmulatedOrigin) {
    this.origin = origin;
  }

  hold(): void {}

  release(): void {}

  async open(ranges: readonly ByteRange[]): Promise<TokenContent> {
    const binding = await this.origin.bind(ranges);
    return { ...(await binding.open()), close: () => binding.release() };
  }

  hasChanged(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

/** A block that was a hole when it was saved is zeros. */
async function kindOf(saved: SavedBlock): Promise<"data" | "zero"> {
  await saved.ready.promise;
  return Buffer.compare(saved.bytes!, ZERO_BLOCK) === 0 ? "zero" : "data";
}
