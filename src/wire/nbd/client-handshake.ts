/**
 * The handshake as a client sees it: options to bytes, a server's greeting and replies from bytes to typed values.
 *
 * Always holds: lengths are checked before anything is read. Errors: PROTOCOL_ERROR for bytes that no server may send.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  HandshakeFlag,
  Info,
  MAGIC_GREETING_HIGH,
  MAGIC_GREETING_LOW,
  MAGIC_OPTION_HIGH,
  MAGIC_OPTION_LOW,
  MAGIC_OPTION_REPLY_HIGH,
  MAGIC_OPTION_REPLY_LOW,
  OPTION_HEADER_BYTES,
  STRING_BYTES_MAX,
} from "./constants.ts";

export const GREETING_BYTES = 18;
export const OPTION_REPLY_HEADER_BYTES = 20;
/** Longest data of a reply to an option: some numbers and a text or two. */
export const OPTION_REPLY_DATA_BYTES_MAX = 64 * 1024;

export interface OptionReplyHeader {
  readonly option: number;
  /** OptionReply or OptionError. */
  readonly type: number;
  readonly lengthBytes: number;
}

export type ExportInfo =
  | { readonly kind: "export"; readonly sizeBytes: number; readonly transmissionFlags: number }
  | {
      readonly kind: "blockSize";
      readonly minimumBytes: number;
      readonly preferredBytes: number;
      readonly maximumPayloadBytes: number;
    }
  | { readonly kind: "other" };

/** Checks that the server speaks fixed newstyle, and whether it leaves out the zeroes. PROTOCOL_ERROR */
export function parseGreeting(bytes: Uint8Array): { readonly noZeroes: boolean } {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== MAGIC_GREETING_HIGH || view.getUint32(4) !== MAGIC_GREETING_LOW)
    throw violation("the server does not speak NBD");
  if (view.getUint32(8) !== MAGIC_OPTION_HIGH || view.getUint32(12) !== MAGIC_OPTION_LOW)
    throw violation("the server speaks only the old handshake");
  const flags = view.getUint16(16);
  if ((flags & HandshakeFlag.fixedNewstyle) === 0)
    throw violation("the server has no fixed newstyle handshake");
  return { noZeroes: (flags & HandshakeFlag.noZeroes) !== 0 };
}

export function encodeClientFlags({ noZeroes }: { noZeroes: boolean }): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(HandshakeFlag.fixedNewstyle | (noZeroes ? HandshakeFlag.noZeroes : 0));
  return bytes;
}

export function encodeOption(option: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(OPTION_HEADER_BYTES + data.length);
  bytes.writeUInt32BE(MAGIC_OPTION_HIGH, 0);
  bytes.writeUInt32BE(MAGIC_OPTION_LOW, 4);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(data.length, 12);
  bytes.set(data, OPTION_HEADER_BYTES);
  return bytes;
}

/** Data of GO and INFO: the export, and what is asked about it. */
export function encodeGoData(exportName: string, infos: readonly number[]): Buffer {
  const name = lengthAndText(exportName);
  const bytes = Buffer.alloc(name.length + 2 + 2 * infos.length);
  bytes.set(name);
  bytes.writeUInt16BE(infos.length, name.length);
  for (const [index, info] of infos.entries()) bytes.writeUInt16BE(info, name.length + 2 + 2 * index);
  return bytes;
}

/** Data of SET_META_CONTEXT and LIST_META_CONTEXT. */
export function encodeMetaContextData(exportName: string, queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([lengthAndText(exportName), count, ...queries.map(lengthAndText)]);
}

/** PROTOCOL_ERROR when it is no reply, one to another option, or longer than any. */
export function parseOptionReplyHeader(bytes: Uint8Array, option: number): OptionReplyHeader {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== MAGIC_OPTION_REPLY_HIGH || view.getUint32(4) !== MAGIC_OPTION_REPLY_LOW)
    throw violation("a reply to an option does not begin as one");
  const header = { option: view.getUint32(8), type: view.getUint32(12), lengthBytes: view.getUint32(16) };
  if (header.option !== option) throw violation(`a reply is to option ${header.option} instead of ${option}`);
  if (header.lengthBytes > OPTION_REPLY_DATA_BYTES_MAX)
    throw violation(`a reply to an option has ${header.lengthBytes} bytes`);
  return header;
}

/** Data of an INFO reply. PROTOCOL_ERROR */
export function parseExportInfo(data: Uint8Array): ExportInfo {
  if (data.length < 2) throw violation("an INFO reply is too short");
  const view = viewOf(data);
  switch (view.getUint16(0)) {
    case Info.export: {
      if (data.length !== 12) throw violation(`INFO_EXPORT has ${data.length} bytes`);
      const sizeBytes = Number(view.getBigUint64(2));
      if (!Number.isSafeInteger(sizeBytes)) throw violation(`an export of ${sizeBytes} bytes cannot be`);
      return { kind: "export", sizeBytes, transmissionFlags: view.getUint16(10) };
    }
    case Info.blockSize: {
      if (data.length !== 14) throw violation(`INFO_BLOCK_SIZE has ${data.length} bytes`);
      const minimumBytes = view.getUint32(2);
      const preferredBytes = view.getUint32(6);
      const maximumPayloadBytes = view.getUint32(10);
      const isLegal =
        isPowerOfTwo(minimumBytes) &&
        isPowerOfTwo(preferredBytes) &&
        preferredBytes >= minimumBytes &&
        maximumPayloadBytes >= minimumBytes;
      if (!isLegal)
        throw violation(
          `blocks of ${minimumBytes}, ${preferredBytes}, ${maximumPayloadBytes} bytes do not fit`,
        );
      return { kind: "blockSize", minimumBytes, preferredBytes, maximumPayloadBytes };
    }
    default:
      return { kind: "other" };
  }
}

/** Data of a META_CONTEXT reply. PROTOCOL_ERROR */
export function parseMetaContext(data: Uint8Array): { readonly id: number; readonly name: string } {
  if (data.length < 4 || data.length > 4 + STRING_BYTES_MAX)
    throw violation(`a META_CONTEXT reply has ${data.length} bytes`);
  return { id: viewOf(data).getUint32(0), name: Buffer.from(data.subarray(4)).toString() };
}

function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", `${sentence}.`);
}
