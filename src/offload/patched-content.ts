/**
 * A content of which some parts come from elsewhere: blocks of a hash token that were found away from its source (T23).
 * Always holds: parts do not overlap; what was patched in is closed with the whole, and no pin stands for a patched one.
 */
import type { ByteRange, Extent } from "../device/mod.ts";
import type { TokenContent } from "./token-backing.ts";

interface Patch extends ByteRange {
  readonly content: TokenContent;
  /** Where the part begins in its content. */
  readonly fromBytes: number;
}

export class PatchedContent implements TokenContent {
  /** Undefined: the source is gone, and only what is patched in can be read. */
  readonly #base: TokenContent | undefined;
  readonly #patches: Patch[] = [];

  constructor(base: TokenContent | undefined) {
    this.#base = base;
  }

  get pin(): number | undefined {
    return this.#patches.length === 0 ? this.#base?.pin : undefined;
  }

  get sizeBytes(): number {
    const ends = this.#patches.map(({ offsetBytes, lengthBytes }) => offsetBytes + lengthBytes);
    return Math.max(this.#base?.sizeBytes ?? 0, ...ends);
  }

  /** Takes over `content`. */
  patch(patch: Patch): void {
    this.#patches.push(patch);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length; ) {
      const at = offset + done;
      const { patch, lengthBytes } = this.#partAt(at, target.length - done);
      const part = target.subarray(done, done + lengthBytes);
      if (patch !== undefined) await patch.content.read(at - patch.offsetBytes + patch.fromBytes, part);
      else if (this.#base !== undefined) await this.#base.read(at, part);
      else part.fill(0);
      done += lengthBytes;
    }
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const { patch, lengthBytes } = this.#partAt(offset, length);
    if (patch === undefined && this.#base !== undefined)
      return this.#base.extents(offset, lengthBytes, extentsMax);
    return [{ offsetBytes: offset, lengthBytes, kind: patch === undefined ? "hole" : "data" }];
  }

  close(): void {
    this.#base?.close();
    for (const { content } of this.#patches) content.close();
  }

  /** The patch at a place, or none and how far it is to the next. */
  #partAt(at: number, lengthMax: number): { patch: Patch | undefined; lengthBytes: number } {
    let end = at + lengthMax;
    for (const patch of this.#patches) {
      const patchEnd = patch.offsetBytes + patch.lengthBytes;
      if (patch.offsetBytes <= at && at < patchEnd)
        return { patch, lengthBytes: Math.min(end, patchEnd) - at };
      if (patch.offsetBytes > at) end = Math.min(end, patch.offsetBytes);
    }
    return { patch: undefined, lengthBytes: end - at };
  }
}
