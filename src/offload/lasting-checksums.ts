/**
 * The kept checksums of one device from one opening to the next (T24). Of the two ways to have no file that says more
 * than the data, this takes the simpler one: the file is there only while nothing was changed since it was written.
 *
 * Always holds: the first change of an opening goes out when the file is durably gone; the file is written after the
 * last opening's changes are durable. So a crash costs the checksums and never makes good data wrong.
 * Errors: those of the disk where a file cannot be removed, for the change that waits for it; a later one tries again.
 */
import type { BlockDevice } from "../device/mod.ts";
import type { StoredChecksums } from "./checksum-file.ts";
import type { ChecksumFiles } from "./checksum-files.ts";
import type { KeptChecksums } from "./kept-checksums.ts";

export class LastingChecksums {
  /** Resolves when what was stored is known again; never rejects. */
  readonly loaded: Promise<void>;
  readonly #files: ChecksumFiles;
  /** Identity of the device. */
  readonly #device: string;
  readonly #kept: KeptChecksums;
  #isLoaded = false;
  #isGone = false;
  #removing: Promise<void> | undefined;

  constructor(options: { files: ChecksumFiles; device: string; kept: KeptChecksums }) {
    this.#files = options.files;
    this.#device = options.device;
    this.#kept = options.kept;
    this.loaded = this.#load();
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** There is no file: changes may go out. */
  get isGone(): boolean {
    return this.#isGone;
  }

  async #load(): Promise<void> {
    const { stored, isGone } = await this.#files.load(this.#device);
    if (stored !== undefined) this.#kept.restore(stored);
    this.#isGone = isGone;
    this.#isLoaded = true;
  }

  /** Resolves when there is no file. */
  gone(): Promise<void> {
    return (this.#removing ??= this.#remove().finally(() => (this.#removing = undefined)));
  }

  async #remove(): Promise<void> {
    await this.loaded;
    if (this.#isGone) return;
    await this.#files.remove(this.#device);
    this.#isGone = true;
  }

  /** The last opening closes; `betweenChanges` does something while none is under way. Never rejects. */
  save(base: BlockDevice, betweenChanges: <Result>(act: () => Result) => Promise<Result>): Promise<void> {
    return this.#files.save(this.#device, async () => {
      const stored = await betweenChanges(() => this.#take(base));
      if (stored !== undefined) await base.flush();
      return stored;
    });
  }

  /** What is to be written, after which changes wait until it is gone again. */
  #take(base: BlockDevice): StoredChecksums | undefined {
    // What was not changed has its file; what cannot be made durable may be older than its checksums after a crash.
    if (!this.#isGone || base.capabilities.flush === "absent") return undefined;
    const stored = this.#kept.stored(base.sizeBytes);
    if (stored !== undefined) this.#isGone = false;
    return stored;
  }
}
