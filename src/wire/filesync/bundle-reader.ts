/**
 * Bundles from bytes to operations, all at once: the only place where operations from outside are checked.
 *
 * Always holds: paths stay below the root (`wire-path.ts`), extents are in order and inside the file, every length fits
 * exactly. Bytes of extents, extended attributes and ranges are views into the bundle. PROTOCOL_ERROR otherwise.
 */
import { readWireAttributes } from "./attributes.ts";
import { ByteReader } from "./byte-reader.ts";
import {
  BUNDLE_OPERATIONS_MAX,
  EXTENDED_BYTES_MAX,
  EXTENTS_MAX,
  FRAME_BYTES_MAX,
  LINK_TARGET_BYTES_MAX,
} from "./constants.ts";
import { readExtended } from "./extended-attributes.ts";
import {
  type ContentExtent,
  OPERATION_NUMBERS,
  type Operation,
  REMOVE_RECURSIVE,
  takesKind,
} from "./operation.ts";
import { isLinkTarget } from "./wire-path.ts";

const NAMES: readonly (Operation["op"] | undefined)[] = [
  undefined,
  ...(Object.keys(OPERATION_NUMBERS) as Operation["op"][]),
];

export function readBundle(bytes: Uint8Array): Operation[] {
  const reader = new ByteReader("a bundle", bytes);
  if (bytes.length > FRAME_BYTES_MAX) throw reader.wrong(`${bytes.length} bytes, more than a frame has`);
  const operations: Operation[] = [];
  while (reader.left > 0) {
    if (operations.length === BUNDLE_OPERATIONS_MAX)
      throw reader.wrong(`more than ${BUNDLE_OPERATIONS_MAX} operations`);
    operations.push(readNext(reader));
  }
  return operations;
}

/** One operation alone, as COMMIT carries it. PROTOCOL_ERROR */
export function readOperation(bytes: Uint8Array): Operation {
  const reader = new ByteReader("an operation", bytes);
  const operation = readNext(reader);
  reader.end();
  return operation;
}

function readNext(reader: ByteReader): Operation {
  const length = reader.u32();
  const end = reader.position + length;
  if (length > reader.left) throw reader.wrong("an operation is longer than the bytes that are there");
  const number = reader.u8();
  const op = NAMES[number];
  if (op === undefined) throw reader.wrong(`there is no operation ${number}`);
  const flags = reader.u8();
  if (flags !== 0 && !(op === "remove" && flags === REMOVE_RECURSIVE))
    throw reader.wrong(`${op} has no flags ${flags}`);
  const operation = readFields(reader, op, flags);
  if (reader.position !== end) throw reader.wrong(`the length of ${op} is not that of its fields`);
  return operation;
}

function readFields(reader: ByteReader, op: Operation["op"], flags: number): Operation {
  switch (op) {
    case "makeDirectory":
    case "special":
    case "attributes":
      return { op, ...readDescribed(reader, op) };
    case "file": {
      const { path, attributes, extended } = readDescribed(reader, op);
      return { op, path, attributes, extended, extents: readExtents(reader, attributes.sizeBytes) };
    }
    case "symlink": {
      const described = readDescribed(reader, op);
      const target = reader.text16("the target of a symbolic link", LINK_TARGET_BYTES_MAX);
      if (!isLinkTarget(target)) throw reader.wrong("the target of a symbolic link is empty or has a NUL");
      return { op, ...described, target };
    }
    case "link":
      return { op, path: reader.path(), existing: reader.path() };
    case "rename":
      return { op, from: reader.path(), to: reader.path() };
    case "remove":
      return { op, path: reader.path(), recursive: flags === REMOVE_RECURSIVE };
    case "truncate":
      return { op, path: reader.path(), sizeBytes: reader.u64() };
    case "writeRange": {
      const path = reader.path();
      const offset = reader.u64();
      const bytes = reader.bytes(reader.u32());
      if (!Number.isSafeInteger(offset + bytes.length)) throw reader.wrong("a range ends at 2^53 or later");
      return { op, path, offset, bytes };
    }
  }
}

function readDescribed(reader: ByteReader, op: Operation["op"]) {
  const path = op === "makeDirectory" || op === "attributes" ? reader.pathOrRoot() : reader.path();
  const attributes = readWireAttributes(reader);
  if (!takesKind(op, attributes.kind)) throw reader.wrong(`${op} has attributes of a ${attributes.kind}`);
  const extended = reader.bytes(reader.count("bytes of extended attributes", EXTENDED_BYTES_MAX));
  if (extended.length > 0) readExtended(extended);
  return { path, attributes, extended };
}

function readExtents(reader: ByteReader, sizeBytes: number): ContentExtent[] {
  const content = reader.bytes(reader.u32());
  const count = reader.count("extents", EXTENTS_MAX);
  const extents: ContentExtent[] = [];
  let taken = 0;
  let end = 0;
  for (let left = count; left > 0; left--) {
    const offset = reader.u64();
    const length = reader.u32();
    if (length === 0 || offset < end) throw reader.wrong("extents of a file are empty or not in order");
    end = offset + length;
    if (end > sizeBytes) throw reader.wrong("an extent ends behind its file's end");
    if (length > content.length - taken) throw reader.wrong("extents have more bytes than the content");
    extents.push({ offset, bytes: new Uint8Array(content.buffer, content.byteOffset + taken, length) });
    taken += length;
  }
  if (taken !== content.length) throw reader.wrong("extents have fewer bytes than the content");
  return extents;
}
