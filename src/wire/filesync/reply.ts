/**
 * Replies, one to each request: typed values to frames and back. Listings and hashes stay bytes, without a copy.
 *
 * PROTOCOL_ERROR when bytes are not exactly the reply to the request within all limits. A reply that says an error is
 * no exception but a value.
 */

import { DIGEST_BYTES } from "../../base/digest.ts";
import { ERROR_CATALOGUE, type ErrorCode, RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  FileFailure,
  ScannedDirectory,
  ScanResult,
} from "../../ports/mod.ts";
import { readFileAttributes, writeFileAttributes } from "./attributes.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  BUNDLE_OPERATIONS_MAX,
  FAILURES_MAX,
  FrameType,
  HASH_BLOCKS_MAX,
  HASH_BYTES,
  PATHS_MAX,
  SENTENCE_BYTES_MAX,
} from "./constants.ts";
import { type Frame, packFrame, packReplyFrames } from "./frame.ts";
import { type HelloReply, readHelloReply, writeHelloReply } from "./hello.ts";
import { LISTING_BYTES_MAX } from "./listing.ts";
import type { Request } from "./request.ts";
import { isWirePath } from "./wire-path.ts";

export type Reply =
  | ({ readonly type: "hello" } & HelloReply)
  | { readonly type: "keepAlive" }
  | { readonly type: "apply"; readonly result: ApplyResult }
  | { readonly type: "begin"; readonly handle: number }
  | { readonly type: "write" }
  | { readonly type: "keep" }
  | { readonly type: "commit"; readonly failure: FileFailure | undefined }
  | { readonly type: "abort" }
  | { readonly type: "hashes"; readonly hashes: Uint8Array }
  | { readonly type: "scan"; readonly result: ScanResult }
  | { readonly type: "stat"; readonly attributes: readonly (FileAttributes | undefined)[] }
  | { readonly type: "sync" }
  | { readonly type: "free"; readonly freeBytes: number };

/** The reply to a request of this type. */
export type ReplyTo<Type extends Request["type"]> = Extract<Reply, { readonly type: Type }>;

const ERRNO_BYTES_MAX = 32;
const DOING_BYTES_MAX = 64;
const CODE_BYTES_MAX = 64;
const ERRNO = /^[A-Z0-9_]+$/;

/** TOO_LARGE: the source has to ask for less at once. */
export function packReply(id: number, reply: Reply): Uint8Array[] {
  const writer = new ByteWriter(64);
  writeFields(writer, reply);
  return packReplyFrames(id, writer.parts());
}

export function packError(id: number, code: ErrorCode, sentence: string): Uint8Array[] {
  const writer = new ByteWriter(256);
  writer.text16(code);
  writer.utf8(sentence, SENTENCE_BYTES_MAX);
  return packFrame(FrameType.error, id, writer.parts());
}

/** The reply to a request of type `to`, or the error that it says (a code that is unknown here is INTERNAL). PROTOCOL_ERROR */
export function readReply<Type extends Request["type"]>(
  frame: Frame,
  to: Type,
): ReplyTo<Type> | RopewalkError {
  const reader = new ByteReader(`the reply to ${to.toUpperCase()}`, frame.payload);
  if (frame.type === FrameType.error) return readError(reader);
  if (frame.type !== FrameType.ok) throw reader.wrong(`a frame of type ${frame.type} is no reply`);
  const reply = readFields(reader, to);
  reader.end();
  return reply as ReplyTo<Type>;
}

function writeFields(writer: ByteWriter, reply: Reply): void {
  switch (reply.type) {
    case "hello":
      writeHelloReply(writer, reply);
      return;
    case "keepAlive":
    case "write":
    case "keep":
    case "abort":
    case "sync":
      return;
    case "apply":
      writer.u32(reply.result.done);
      writeFailures(writer, reply.result.failures, (failure) => writer.u32(failure.operation));
      return;
    case "begin":
      writer.u32(reply.handle);
      return;
    case "commit":
      writer.u8(Number(reply.failure !== undefined));
      if (reply.failure !== undefined) writeFailure(writer, reply.failure);
      return;
    case "hashes":
      writer.bytes(reply.hashes);
      return;
    case "scan":
      writeScan(writer, reply.result);
      return;
    case "stat":
      writer.u32(reply.attributes.length);
      for (const attributes of reply.attributes) {
        writer.u8(Number(attributes !== undefined));
        if (attributes !== undefined) writeFileAttributes(writer, attributes);
      }
      return;
    case "free":
      writer.u64(reply.freeBytes);
      return;
  }
}

function readFields(reader: ByteReader, type: Request["type"]): Reply {
  switch (type) {
    case "hello":
      return { type, ...readHelloReply(reader) };
    case "keepAlive":
    case "write":
    case "keep":
    case "abort":
    case "sync":
      return { type };
    case "apply":
      return { type, result: readApplyResult(reader) };
    case "begin":
      return { type, handle: reader.u32() };
    case "commit":
      return { type, failure: reader.flag() ? readFailure(reader) : undefined };
    case "hashes":
      if (reader.left % HASH_BYTES !== 0 || reader.left > HASH_BLOCKS_MAX * HASH_BYTES)
        throw reader.wrong(`${reader.left} bytes are no hashes`);
      return { type, hashes: reader.rest() };
    case "scan":
      return { type, result: readScan(reader) };
    case "stat": {
      const attributes: (FileAttributes | undefined)[] = [];
      for (let left = reader.count("paths", PATHS_MAX); left > 0; left--)
        attributes.push(reader.flag() ? readFileAttributes(reader) : undefined);
      return { type, attributes };
    }
    case "free":
      return { type, freeBytes: reader.u64() };
  }
}

function readApplyResult(reader: ByteReader): ApplyResult {
  const done = reader.count("operations", BUNDLE_OPERATIONS_MAX);
  const count = reader.count("failures", FAILURES_MAX);
  const failures: (FileFailure & { readonly operation: number })[] = [];
  let before = 0;
  for (let left = count; left > 0; left--) {
    const operation = reader.u32();
    // One operation may have several: what could not be removed below a directory.
    if (operation < before || operation >= BUNDLE_OPERATIONS_MAX)
      throw reader.wrong("failures are not in the order of their operations");
    before = operation;
    const { path, errno, doing } = readFailure(reader);
    failures.push({ operation, path, errno, doing });
  }
  return { done, failures };
}

/** The first of them: beyond the limit they say nothing new. `writeBefore` writes what stands before each. */
function writeFailures<Failure extends FileFailure>(
  writer: ByteWriter,
  failures: readonly Failure[],
  writeBefore: (failure: Failure) => void,
): void {
  const written = failures.slice(0, FAILURES_MAX);
  writer.u32(written.length);
  for (const failure of written) {
    writeBefore(failure);
    writeFailure(writer, failure);
  }
}

/** Of a path that is too long for the wire, the part that is not: one failure must not spoil the reply. */
function writeFailure(writer: ByteWriter, failure: FileFailure): void {
  let { path } = failure;
  while (path !== "" && !isWirePath(path)) path = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  writer.text16(path);
  const errno = failure.errno.slice(0, ERRNO_BYTES_MAX);
  writer.text8(ERRNO.test(errno) ? errno : "EIO");
  writer.text8(failure.doing.slice(0, DOING_BYTES_MAX).replace(/[^ -~]/g, "?"));
}

function readFailure(reader: ByteReader): FileFailure {
  const path = reader.pathOrRoot();
  const errno = reader.latin1(reader.u8());
  if (errno.length > ERRNO_BYTES_MAX || !ERRNO.test(errno)) throw reader.wrong("a failure has no errno");
  const doing = reader.latin1(reader.u8());
  if (doing.length > DOING_BYTES_MAX || !/^[ -~]*$/.test(doing))
    throw reader.wrong("a failure does not say what was tried");
  return { path, errno, doing };
}

function writeScan(writer: ByteWriter, result: ScanResult): void {
  writer.u32(result.directories.length);
  for (const directory of result.directories) {
    writer.text16(directory.path);
    writeFileAttributes(writer, directory.attributes);
    writer.copy(directory.digest);
    writer.u32(directory.entries);
    writer.u64(directory.fileBytes);
    writer.u32(directory.directories.length);
    for (const name of directory.directories) writer.text8(name);
    writer.u8(Number(directory.listing !== undefined));
    if (directory.listing === undefined) continue;
    writer.u32(directory.listing.length);
    writer.bytes(directory.listing);
  }
  writeFailures(writer, result.failures, () => {});
}

function readScan(reader: ByteReader): ScanResult {
  const directories: ScannedDirectory[] = [];
  for (let left = reader.count("directories", PATHS_MAX); left > 0; left--)
    directories.push(readScannedDirectory(reader));
  const failures: FileFailure[] = [];
  for (let left = reader.count("failures", FAILURES_MAX); left > 0; left--)
    failures.push(readFailure(reader));
  return { directories, failures };
}

function readScannedDirectory(reader: ByteReader): ScannedDirectory {
  const path = reader.pathOrRoot();
  const attributes = readFileAttributes(reader);
  const digest = reader.copied(DIGEST_BYTES);
  const entries = reader.u32();
  const fileBytes = reader.u64();
  const count = reader.u32();
  if (count > entries) throw reader.wrong("a directory has more directories than entries");
  const directories: string[] = [];
  let before = "";
  for (let left = count; left > 0; left--) {
    const name = reader.name();
    if (name <= before) throw reader.wrong("names are not in order");
    before = name;
    directories.push(name);
  }
  const listing = reader.flag()
    ? reader.bytes(reader.count("bytes of a listing", LISTING_BYTES_MAX))
    : undefined;
  return { path, attributes, digest, entries, fileBytes, directories, listing };
}

function readError(reader: ByteReader): RopewalkError {
  const code = reader.text16("an error's code", CODE_BYTES_MAX);
  if (!/^[A-Z][A-Z0-9_]*$/.test(code)) throw reader.wrong("an error has no code");
  const sentence = reader.utf8("an error's sentence", SENTENCE_BYTES_MAX);
  reader.end();
  return new RopewalkError(Object.hasOwn(ERROR_CATALOGUE, code) ? (code as ErrorCode) : "INTERNAL", sentence);
}
