/**
 * Requests, which the source sends: typed values to frames and back. Bundles and content stay bytes: no copy is made of
 * them, neither when they are packed (parts) nor when they are read (views).
 *
 * PROTOCOL_ERROR when bytes are not exactly one request within all limits; PEER_VERSION for another version's HELLO.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { ExcludeRules, HashRequest, TreePath } from "../../ports/mod.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  EXCLUDE_BYTES_MAX,
  EXCLUDES_MAX,
  FrameType,
  HASH_BLOCK_BYTES_MAX,
  HASH_BLOCK_BYTES_MIN,
  HASH_BLOCKS_MAX,
  PATHS_MAX,
} from "./constants.ts";
import { type Frame, packFrame } from "./frame.ts";
import { type Hello, readHello, writeHello } from "./hello.ts";
import { checkPath } from "./operation.ts";

export type Request =
  | { readonly type: "hello"; readonly hello: Hello }
  | { readonly type: "keepAlive" }
  /**
   * `bundle`: see `readBundle`. `isUnordered`: on a main connection too it may be carried out beside others (copies, whose
   * order says nothing); false where it is left out.
   */
  | { readonly type: "apply"; readonly bundle: Uint8Array; readonly isUnordered?: boolean }
  | { readonly type: "begin"; readonly path: TreePath }
  | {
      readonly type: "write";
      readonly handle: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: "keep"; readonly handle: number; readonly offset: number; readonly length: number }
  /** `packed`: a `file` operation without content, see `readOperation`. */
  | { readonly type: "commit"; readonly handle: number; readonly packed: Uint8Array }
  | { readonly type: "abort"; readonly handle: number }
  | { readonly type: "hashes"; readonly path: TreePath; readonly request: HashRequest }
  | {
      readonly type: "scan";
      readonly paths: readonly TreePath[];
      readonly withListings: boolean;
      readonly excludes: ExcludeRules;
    }
  | { readonly type: "stat"; readonly paths: readonly TreePath[] }
  | { readonly type: "sync" }
  | { readonly type: "free" };

const TYPES = new Map<number, Request["type"]>(
  Object.entries(FrameType)
    .filter(([name]) => name !== "ok" && name !== "error")
    .map(([name, number]) => [number, name as Request["type"]]),
);

/** TOO_LARGE, INVALID_ARGUMENT (a path or a number that cannot go over the wire). */
export function packRequest(id: number, request: Request): Uint8Array[] {
  const writer = new ByteWriter(64);
  writeFields(writer, request);
  return packFrame(FrameType[request.type], id, writer.parts());
}

/** PROTOCOL_ERROR, PEER_VERSION */
export function readRequest(frame: Frame): Request {
  const type = TYPES.get(frame.type);
  if (type === undefined)
    throw new RopewalkError("PROTOCOL_ERROR", `a frame of type ${frame.type} is no request`);
  const reader = new ByteReader(type.toUpperCase(), frame.payload);
  const request = readFields(reader, type);
  reader.end();
  return request;
}

function writeFields(writer: ByteWriter, request: Request): void {
  switch (request.type) {
    case "hello":
      writeHello(writer, request.hello);
      return;
    case "keepAlive":
    case "sync":
    case "free":
      return;
    case "apply":
      writer.u8(Number(request.isUnordered === true));
      writer.bytes(request.bundle);
      return;
    case "begin":
      writePath(writer, request.path);
      return;
    case "write":
      writer.u32(request.handle);
      writer.u64(request.offset);
      writer.bytes(request.bytes);
      return;
    case "keep":
      writer.u32(request.handle);
      writer.u64(request.offset);
      writer.u64(request.length);
      return;
    case "commit":
      writer.u32(request.handle);
      writer.bytes(request.packed);
      return;
    case "abort":
      writer.u32(request.handle);
      return;
    case "hashes":
      writePath(writer, request.path);
      writer.u64(request.request.offset);
      writer.u64(request.request.length);
      writer.u32(request.request.blockBytes);
      writer.u64(request.request.seed);
      return;
    case "scan":
      writer.u8(Number(request.withListings));
      writeExcludes(writer, request.excludes);
      writePaths(writer, request.paths);
      return;
    case "stat":
      writePaths(writer, request.paths);
      return;
  }
}

function readFields(reader: ByteReader, type: Request["type"]): Request {
  switch (type) {
    case "hello":
      return { type, hello: readHello(reader) };
    case "keepAlive":
    case "sync":
    case "free":
      return { type };
    case "apply": {
      const isUnordered = reader.flag();
      return { type, bundle: reader.rest(), isUnordered };
    }
    case "begin":
      return { type, path: reader.path() };
    case "write": {
      const handle = reader.u32();
      const offset = reader.u64();
      const bytes = reader.rest();
      checkRange(reader, offset, bytes.length);
      return { type, handle, offset, bytes };
    }
    case "keep": {
      const handle = reader.u32();
      const offset = reader.u64();
      const length = reader.u64();
      checkRange(reader, offset, length);
      return { type, handle, offset, length };
    }
    case "commit":
      return { type, handle: reader.u32(), packed: reader.rest() };
    case "abort":
      return { type, handle: reader.u32() };
    case "hashes":
      return { type, path: reader.path(), request: readHashRequest(reader) };
    case "scan": {
      const withListings = reader.flag();
      const excludes = readExcludes(reader);
      return { type, paths: readPaths(reader), withListings, excludes };
    }
    case "stat":
      return { type, paths: readPaths(reader) };
  }
}

function checkRange(reader: ByteReader, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset + length)) throw reader.wrong("a range ends at 2^53 or later");
}

function readHashRequest(reader: ByteReader): HashRequest {
  const offset = reader.u64();
  const length = reader.u64();
  checkRange(reader, offset, length);
  const blockBytes = reader.u32();
  if (blockBytes < HASH_BLOCK_BYTES_MIN || blockBytes > HASH_BLOCK_BYTES_MAX)
    throw reader.wrong(
      `blocks of ${blockBytes} bytes, not ${HASH_BLOCK_BYTES_MIN} to ${HASH_BLOCK_BYTES_MAX}`,
    );
  if (length > blockBytes * HASH_BLOCKS_MAX) throw reader.wrong(`more than ${HASH_BLOCKS_MAX} blocks`);
  return { offset, length, blockBytes, seed: reader.u64() };
}

/** Of something below the root: the root itself is no file. */
function writePath(writer: ByteWriter, path: TreePath): void {
  checkPath(path);
  writer.text16(path);
}

function writePaths(writer: ByteWriter, paths: readonly TreePath[]): void {
  if (paths.length > PATHS_MAX)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `A request has ${paths.length} paths; ${PATHS_MAX} are the limit.`,
    );
  writer.u32(paths.length);
  for (const path of paths) {
    if (path !== "") checkPath(path);
    writer.text16(path);
  }
}

function readPaths(reader: ByteReader): TreePath[] {
  const paths: TreePath[] = [];
  for (let left = reader.count("paths", PATHS_MAX); left > 0; left--) paths.push(reader.pathOrRoot());
  return paths;
}

function writeExcludes(writer: ByteWriter, excludes: ExcludeRules): void {
  const { patterns } = excludes;
  if (patterns.length > EXCLUDES_MAX || patterns.some((pattern) => !isPattern(pattern)))
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `Excludes are at most ${EXCLUDES_MAX} patterns of at most ${EXCLUDE_BYTES_MAX} bytes.`,
    );
  writer.u32(patterns.length);
  for (const pattern of patterns) writer.text16(pattern);
}

function readExcludes(reader: ByteReader): ExcludeRules {
  const patterns: string[] = [];
  for (let left = reader.count("excludes", EXCLUDES_MAX); left > 0; left--) {
    const pattern = reader.text16("a pattern", EXCLUDE_BYTES_MAX);
    if (!isPattern(pattern)) throw reader.wrong("an exclude is no regular expression");
    patterns.push(pattern);
  }
  return { patterns };
}

/** What no thread may stumble over later. */
function isPattern(pattern: string): boolean {
  if (pattern.length > EXCLUDE_BYTES_MAX || /[\u0100-\uffff]/.test(pattern)) return false;
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}
