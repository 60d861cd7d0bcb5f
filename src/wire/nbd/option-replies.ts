/**
 * What a server sends during the handshake, from values to bytes. Not a hot path: each call makes a buffer.
 * Always holds: every answer to an option is one or more of these, the last of them an ACK or an error,
 * except to EXPORT_NAME, which has an answer of its own.
 */
import {
  HandshakeFlag,
  Info,
  MAGIC_GREETING_HIGH,
  MAGIC_GREETING_LOW,
  MAGIC_OPTION_HIGH,
  MAGIC_OPTION_LOW,
  MAGIC_OPTION_REPLY_HIGH,
  MAGIC_OPTION_REPLY_LOW,
  OptionReply,
  STRING_BYTES_MAX,
} from "./constants.ts";

const OPTION_REPLY_HEADER_BYTES = 20;
const PADDING_BYTES = 124;

/** What a client must know of an export before it sends requests. */
export interface ExportFacts {
  readonly sizeBytes: number;
  readonly transmissionFlags: number;
}

export interface BlockSizes {
  readonly minimumBytes: number;
  readonly preferredBytes: number;
  readonly maximumPayloadBytes: number;
}

/** The server's first word: fixed newstyle, no zeroes needed. */
export function encodeGreeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeUInt32BE(MAGIC_GREETING_HIGH, 0);
  bytes.writeUInt32BE(MAGIC_GREETING_LOW, 4);
  bytes.writeUInt32BE(MAGIC_OPTION_HIGH, 8);
  bytes.writeUInt32BE(MAGIC_OPTION_LOW, 12);
  bytes.writeUInt16BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 16);
  return bytes;
}

/** An answer of `type` (OptionReply or OptionError) to `option`. */
export function encodeOptionReply(option: number, type: number, data?: Uint8Array): Buffer {
  const bytes = Buffer.alloc(OPTION_REPLY_HEADER_BYTES + (data?.length ?? 0));
  bytes.writeUInt32BE(MAGIC_OPTION_REPLY_HIGH, 0);
  bytes.writeUInt32BE(MAGIC_OPTION_REPLY_LOW, 4);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(data?.length ?? 0, 16);
  if (data !== undefined) bytes.set(data, OPTION_REPLY_HEADER_BYTES);
  return bytes;
}

/** A refusal with a sentence for the human behind the client. */
export function encodeOptionError(option: number, type: number, sentence: string): Buffer {
  return encodeOptionReply(option, type, truncatedText(sentence));
}

/** One export of a LIST. */
export function encodeServerReply(option: number, name: string, description: string): Buffer {
  const nameBytes = Buffer.from(name);
  const data = Buffer.alloc(4 + nameBytes.length);
  data.writeUInt32BE(nameBytes.length, 0);
  data.set(nameBytes, 4);
  return encodeOptionReply(option, OptionReply.server, Buffer.concat([data, truncatedText(description)]));
}

export function encodeInfoExport(option: number, facts: ExportFacts): Buffer {
  const data = Buffer.alloc(12);
  data.writeUInt16BE(Info.export, 0);
  data.writeBigUInt64BE(BigInt(facts.sizeBytes), 2);
  data.writeUInt16BE(facts.transmissionFlags, 10);
  return encodeOptionReply(option, OptionReply.info, data);
}

/** INFO_NAME or INFO_DESCRIPTION. */
export function encodeInfoText(option: number, info: number, text: string): Buffer {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(info, 0);
  return encodeOptionReply(option, OptionReply.info, Buffer.concat([type, truncatedText(text)]));
}

export function encodeInfoBlockSize(option: number, sizes: BlockSizes): Buffer {
  const data = Buffer.alloc(14);
  data.writeUInt16BE(Info.blockSize, 0);
  data.writeUInt32BE(sizes.minimumBytes, 2);
  data.writeUInt32BE(sizes.preferredBytes, 6);
  data.writeUInt32BE(sizes.maximumPayloadBytes, 10);
  return encodeOptionReply(option, OptionReply.info, data);
}

/** A context and the number by which BLOCK_STATUS will name it. */
export function encodeMetaContext(option: number, id: number, name: string): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(id, 0);
  return encodeOptionReply(option, OptionReply.metaContext, Buffer.concat([data, Buffer.from(name)]));
}

/** The answer to EXPORT_NAME, after which requests follow. */
export function encodeExportNameReply(facts: ExportFacts, padding: "zeroes" | "no-zeroes"): Buffer {
  const bytes = Buffer.alloc(10 + (padding === "zeroes" ? PADDING_BYTES : 0));
  bytes.writeBigUInt64BE(BigInt(facts.sizeBytes), 0);
  bytes.writeUInt16BE(facts.transmissionFlags, 8);
  return bytes;
}

/** The text as UTF-8, cut between characters where it would be longer than the protocol's strings may be. */
function truncatedText(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= STRING_BYTES_MAX) return bytes;
  let end = STRING_BYTES_MAX;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
