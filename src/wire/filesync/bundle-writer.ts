/**
 * Packs operations one behind the other into memory of its own. Content of files is read straight into it, so that a
 * small file costs one read and no copy until the whole bundle is taken.
 *
 * Always holds: what is in it was added wholly; `length` is at most `bytesMax` and what the extents of files with holes
 * take beside it, and a frame holds it.
 */
import { assert } from "../../base/assert.ts";
import type { TreePath } from "../../ports/mod.ts";
import { type WireAttributes, writeWireAttributes } from "./attributes.ts";
import { ByteWriter } from "./byte-writer.ts";
import { BUNDLE_OPERATIONS_MAX, EXTENTS_MAX, FRAME_BYTES_MAX } from "./constants.ts";
import {
  checkPath,
  EXTENT_BYTES,
  FILE_OPERATION_BYTES,
  OPERATION_HEADER_BYTES,
  OPERATION_NUMBERS,
  type Operation,
  operationBytes,
  writeOperation,
} from "./operation.ts";

/** Where a file that has begun stands. */
interface OpenFile {
  readonly start: number;
  readonly attributesAt: number;
  readonly contentAt: number;
  readonly contentMax: number;
}

export class BundleWriter {
  readonly #bytesMax: number;
  readonly #writer: ByteWriter;
  #operations = 0;
  #file: OpenFile | undefined;

  constructor(bytesMax: number) {
    assert(bytesMax + EXTENT_BYTES * EXTENTS_MAX < FRAME_BYTES_MAX, "a bundle fits a frame");
    this.#bytesMax = bytesMax;
    this.#writer = new ByteWriter(bytesMax + EXTENT_BYTES * EXTENTS_MAX);
  }

  /** Bytes that were added. */
  get length(): number {
    return this.#file?.start ?? this.#writer.position;
  }

  get operations(): number {
    return this.#operations;
  }

  /** False, and nothing changed, when it does not fit. INVALID_ARGUMENT: a path that cannot go over the wire. */
  add(operation: Operation): boolean {
    assert(this.#file === undefined, "a file that began has ended");
    if (!this.#hasRoom(operationBytes(operation))) return false;
    writeOperation(this.#writer, operation);
    this.#operations++;
    return true;
  }

  /**
   * Begins a `file` operation with up to `contentMax` bytes of content. Gives the memory to read it into, which holds
   * until the next call, or undefined when it does not fit. INVALID_ARGUMENT: a path that cannot go over the wire.
   */
  beginFile(
    path: TreePath,
    attributes: WireAttributes,
    extended: Uint8Array,
    contentMax: number,
  ): Uint8Array | undefined {
    assert(this.#file === undefined, "a file that began has ended");
    const bytes = FILE_OPERATION_BYTES + path.length + extended.length + contentMax + EXTENT_BYTES;
    if (!this.#hasRoom(bytes)) return undefined;
    checkPath(path);
    const writer = this.#writer;
    const start = writer.position;
    writer.u32(0);
    writer.u8(OPERATION_NUMBERS.file);
    writer.u8(0);
    writer.text16(path);
    this.#writeFileAttributes(attributes);
    writer.u32(extended.length);
    writer.copy(extended);
    writer.u32(0);
    this.#file = {
      start,
      attributesAt: start + OPERATION_HEADER_BYTES + path.length,
      contentAt: writer.position,
      contentMax,
    };
    return writer.memory(contentMax);
  }

  /**
   * Ends it, with the attributes as they were after the last read. The extents are in order, at most EXTENTS_MAX, and
   * their content stands one behind the other in the memory; what lies behind the size is left out (the file was cut
   * while it was read).
   */
  endFile(
    attributes: WireAttributes,
    extents: readonly { readonly offset: number; readonly length: number }[],
  ): void {
    const file = this.#file;
    assert(file !== undefined, "a file began");
    assert(extents.length <= EXTENTS_MAX, "a file has few enough extents");
    const writer = this.#writer;
    let contentBytes = 0;
    for (const extent of extents) contentBytes += keptLength(extent, attributes.sizeBytes);
    assert(contentBytes <= file.contentMax, "the extents are what was read");

    writer.position = file.attributesAt;
    this.#writeFileAttributes(attributes);
    writer.position = file.contentAt - 4;
    writer.u32(contentBytes);
    writer.position = file.contentAt + contentBytes;
    const countAt = writer.position;
    writer.u32(0);
    let count = 0;
    let end = 0;
    for (const extent of extents) {
      const length = keptLength(extent, attributes.sizeBytes);
      if (length === 0) continue;
      assert(extent.offset >= end, "extents are in order");
      end = extent.offset + length;
      writer.u64(extent.offset);
      writer.u32(length);
      count++;
    }
    const bundleEnd = writer.position;
    writer.position = countAt;
    writer.u32(count);
    writer.position = file.start;
    writer.u32(bundleEnd - file.start - 4);
    writer.position = bundleEnd;
    this.#file = undefined;
    this.#operations++;
  }

  /** Nothing of the file that began is in the bundle. */
  cancelFile(): void {
    assert(this.#file !== undefined, "a file began");
    this.#writer.position = this.#file.start;
    this.#file = undefined;
  }

  /** A copy of exactly what was added; the writer is empty again. */
  take(): Uint8Array {
    assert(this.#file === undefined, "a file that began has ended");
    const bundle = new Uint8Array(this.#writer.written());
    this.#writer.position = 0;
    this.#operations = 0;
    return bundle;
  }

  #hasRoom(bytes: number): boolean {
    return this.#writer.position + bytes <= this.#bytesMax && this.#operations < BUNDLE_OPERATIONS_MAX;
  }

  #writeFileAttributes(attributes: WireAttributes): void {
    assert(attributes.kind === "file", "a file's operation has a file's attributes");
    writeWireAttributes(this.#writer, attributes, attributes.sizeBytes);
  }
}

function keptLength(extent: { readonly offset: number; readonly length: number }, sizeBytes: number): number {
  return Math.max(0, Math.min(extent.length, sizeBytes - extent.offset));
}
