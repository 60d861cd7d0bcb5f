/**
 * Extents of one answer, put together from those of several devices or ranges.
 * Always holds: they stand one behind the other, neighbours differ in kind, and there are at most `extentsMax`.
 */
import type { Extent, ExtentKind } from "../block-device.ts";

export class ExtentList {
  readonly extents: Extent[] = [];
  readonly #extentsMax: number;
  #endBytes: number;

  constructor(offsetBytes: number, extentsMax: number) {
    this.#endBytes = offsetBytes;
    this.#extentsMax = extentsMax;
  }

  /** Where the next extent begins. */
  get endBytes(): number {
    return this.#endBytes;
  }

  /** False, with nothing changed, when no further extent fits in. */
  add(lengthBytes: number, kind: ExtentKind): boolean {
    if (lengthBytes === 0) return true;
    const last = this.extents.at(-1);
    if (last?.kind === kind) {
      this.extents[this.extents.length - 1] = { ...last, lengthBytes: last.lengthBytes + lengthBytes };
    } else {
      if (this.extents.length === this.#extentsMax) return false;
      this.extents.push({ offsetBytes: this.#endBytes, lengthBytes, kind });
    }
    this.#endBytes += lengthBytes;
    return true;
  }
}
