/**
 * Operations: what a target carries out, one behind the other in a bundle.
 *
 * Always holds: writing refuses (INVALID_ARGUMENT) what reading would refuse because of its path: a path can be longer
 * on a disk than on the wire. Other wrong values are a programmer's error. The layouts are in
 * docs/formats/filesync-protocol.md.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { FileKind, TreePath } from "../../ports/mod.ts";
import { WIRE_ATTRIBUTES_BYTES, type WireAttributes, writeWireAttributes } from "./attributes.ts";
import { ByteWriter } from "./byte-writer.ts";
import { EXTENTS_MAX, LINK_TARGET_BYTES_MAX } from "./constants.ts";
import { isLinkTarget, isWirePath } from "./wire-path.ts";

/** A piece of a file; between the pieces are holes. */
export interface ContentExtent {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Described {
  readonly path: TreePath;
  readonly attributes: WireAttributes;
  /** Packed; empty for none. */
  readonly extended: Uint8Array;
}

export type Operation =
  | ({ readonly op: "makeDirectory" } & Described)
  /** The file's size is that of `attributes`. */
  | ({ readonly op: "file"; readonly extents: readonly ContentExtent[] } & Described)
  /** `target` has one character for each byte. */
  | ({ readonly op: "symlink"; readonly target: string } & Described)
  /** Fifo, socket, device node. */
  | ({ readonly op: "special" } & Described)
  /** `path` becomes a second name of what `existing` names. */
  | { readonly op: "link"; readonly path: TreePath; readonly existing: TreePath }
  | { readonly op: "rename"; readonly from: TreePath; readonly to: TreePath }
  | { readonly op: "remove"; readonly path: TreePath; readonly recursive: boolean }
  | ({ readonly op: "attributes" } & Described)
  | { readonly op: "truncate"; readonly path: TreePath; readonly sizeBytes: number }
  | {
      readonly op: "writeRange";
      readonly path: TreePath;
      readonly offset: number;
      readonly bytes: Uint8Array;
    };

export const OPERATION_NUMBERS: Readonly<Record<Operation["op"], number>> = {
  makeDirectory: 1,
  file: 2,
  symlink: 3,
  special: 4,
  link: 5,
  rename: 6,
  remove: 7,
  attributes: 8,
  truncate: 9,
  writeRange: 10,
};

/** Length, operation, flags, length of the path. */
export const OPERATION_HEADER_BYTES = 8;
export const EXTENT_BYTES = 12;
export const REMOVE_RECURSIVE = 1;

/** Bytes of a file's operation but for path, extended attributes, content and extents. */
export const FILE_OPERATION_BYTES = OPERATION_HEADER_BYTES + WIRE_ATTRIBUTES_BYTES + 4 + 4 + 4;

/** Whether an operation of this name may have attributes of this kind. */
export function takesKind(op: Operation["op"], kind: FileKind): boolean {
  switch (op) {
    case "makeDirectory":
      return kind === "directory";
    case "file":
      return kind === "file";
    case "symlink":
      return kind === "symlink";
    case "special":
      return kind === "fifo" || kind === "socket" || kind === "character" || kind === "block";
    default:
      return true;
  }
}

/** The bytes that `writeOperation` will write. */
export function operationBytes(operation: Operation): number {
  switch (operation.op) {
    case "makeDirectory":
    case "special":
    case "attributes":
      return describedBytes(operation);
    case "file":
      return (
        describedBytes(operation) +
        8 +
        contentBytes(operation.extents) +
        EXTENT_BYTES * operation.extents.length
      );
    case "symlink":
      return describedBytes(operation) + 2 + operation.target.length;
    case "link":
      return OPERATION_HEADER_BYTES + operation.path.length + 2 + operation.existing.length;
    case "rename":
      return OPERATION_HEADER_BYTES + operation.from.length + 2 + operation.to.length;
    case "remove":
      return OPERATION_HEADER_BYTES + operation.path.length;
    case "truncate":
      return OPERATION_HEADER_BYTES + operation.path.length + 8;
    case "writeRange":
      return OPERATION_HEADER_BYTES + operation.path.length + 12 + operation.bytes.length;
  }
}

/** One operation alone, as COMMIT carries it. INVALID_ARGUMENT */
export function packOperation(operation: Operation): Uint8Array {
  const writer = new ByteWriter(operationBytes(operation));
  writeOperation(writer, operation);
  return writer.written();
}

/** INVALID_ARGUMENT, and nothing was written then. */
export function writeOperation(writer: ByteWriter, operation: Operation): void {
  const bytes = operationBytes(operation);
  switch (operation.op) {
    case "makeDirectory":
    case "special":
    case "attributes":
      writeDescribed(writer, operation, bytes);
      return;
    case "file":
      writeFile(writer, operation, bytes);
      return;
    case "symlink":
      if (!isLinkTarget(operation.target) || operation.target.length > LINK_TARGET_BYTES_MAX)
        throw new RopewalkError(
          "INVALID_ARGUMENT",
          "A symbolic link's target is empty, too long or no bytes.",
        );
      writeDescribed(writer, operation, bytes);
      writer.text16(operation.target);
      return;
    case "link":
      checkPath(operation.existing);
      writeHeader(writer, operation, operation.path, bytes);
      writer.text16(operation.existing);
      return;
    case "rename":
      checkPath(operation.to);
      writeHeader(writer, operation, operation.from, bytes);
      writer.text16(operation.to);
      return;
    case "remove":
      writeHeader(writer, operation, operation.path, bytes);
      return;
    case "truncate":
      writeHeader(writer, operation, operation.path, bytes);
      writer.u64(operation.sizeBytes);
      return;
    case "writeRange":
      writeHeader(writer, operation, operation.path, bytes);
      writer.u64(operation.offset);
      writer.u32(operation.bytes.length);
      writer.copy(operation.bytes);
      return;
  }
}

function describedBytes(described: Described): number {
  return (
    OPERATION_HEADER_BYTES + described.path.length + WIRE_ATTRIBUTES_BYTES + 4 + described.extended.length
  );
}

function contentBytes(extents: readonly ContentExtent[]): number {
  let bytes = 0;
  for (const extent of extents) bytes += extent.bytes.length;
  return bytes;
}

function writeFile(writer: ByteWriter, operation: Operation & { op: "file" }, bytes: number): void {
  const { extents } = operation;
  assert(extents.length <= EXTENTS_MAX, "a file's operation has few enough extents");
  writeDescribed(writer, operation, bytes);
  writer.u32(contentBytes(extents));
  for (const extent of extents) writer.copy(extent.bytes);
  writer.u32(extents.length);
  let end = 0;
  for (const extent of extents) {
    assert(extent.offset >= end && extent.bytes.length > 0, "extents are in order and not empty");
    end = extent.offset + extent.bytes.length;
    writer.u64(extent.offset);
    writer.u32(extent.bytes.length);
  }
  assert(end <= operation.attributes.sizeBytes, "extents are inside the file");
}

function writeDescribed(writer: ByteWriter, operation: Operation & Described, bytes: number): void {
  const { op, path, attributes, extended } = operation;
  assert(takesKind(op, attributes.kind), "an operation has attributes of its kind");
  if (path.length > 0 || (op !== "makeDirectory" && op !== "attributes")) checkPath(path);
  writeHead(writer, { bytes, op, flags: 0, path });
  writeWireAttributes(writer, attributes, attributes.sizeBytes);
  writer.u32(extended.length);
  writer.copy(extended);
}

function writeHeader(writer: ByteWriter, operation: Operation, path: TreePath, bytes: number): void {
  checkPath(path);
  const flags = operation.op === "remove" && operation.recursive ? REMOVE_RECURSIVE : 0;
  writeHead(writer, { bytes, op: operation.op, flags, path });
}

function writeHead(
  writer: ByteWriter,
  head: {
    readonly bytes: number;
    readonly op: Operation["op"];
    readonly flags: number;
    readonly path: TreePath;
  },
): void {
  writer.u32(head.bytes - 4);
  writer.u8(OPERATION_NUMBERS[head.op]);
  writer.u8(head.flags);
  writer.text16(head.path);
}

export function checkPath(path: TreePath): void {
  if (isWirePath(path)) return;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    "A path is longer than 4096 bytes, one of its names longer than 255, or it leaves the root; it is not replicated.",
  );
}
