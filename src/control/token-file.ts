/**
 * Several tokens in one structure: what a token read gave, to be handed back whole, or taken apart (T4, T24).
 * The layout is docs/formats/token-file.md; 512 bytes alone are one plain token.
 *
 * Always holds: bytes come from anywhere, so what was parsed has whole entries, counts and numbers within their
 * limits and the checksum of its header; whether the tokens are good only the token room knows.
 * Errors: INVALID_ARGUMENT, TOO_LARGE.
 */
import { checksum } from "../base/checksum.ts";
import { RopewalkError } from "../base/errors.ts";
import { TOKEN_BYTES } from "../offload/mod.ts";

export interface TokenPiece {
  readonly token: Uint8Array;
  /** Where in the data of the whole structure the token's first byte is. */
  readonly dataOffsetBytes: number;
  /** Undefined for a plain token, which says itself how long its data is. */
  readonly lengthBytes: number | undefined;
  readonly role: "primary" | "companion";
}

export const TOKENS_IN_FILE_MAX = 256;

const MAGIC = "RWTOKENS";
const VERSION = 1;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 24 + TOKEN_BYTES;
const ROLES = ["primary", "companion"] as const;

export const TOKEN_FILE_BYTES_MAX = HEADER_BYTES + TOKENS_IN_FILE_MAX * ENTRY_BYTES;

/** A single token that stands for all is written plainly. */
export function encodeTokenFile(pieces: readonly TokenPiece[]): Uint8Array {
  const [first] = pieces;
  if (pieces.length === 1 && first!.dataOffsetBytes === 0 && first!.role === "primary") return first!.token;
  const file = Buffer.alloc(HEADER_BYTES + pieces.length * ENTRY_BYTES);
  file.write(MAGIC, "latin1");
  file.writeUInt16LE(VERSION, 8);
  file.writeUInt16LE(pieces.length, 10);
  for (const [index, { token, dataOffsetBytes, lengthBytes, role }] of pieces.entries()) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    file.writeUInt32LE(ROLES.indexOf(role) + 1, at);
    file.writeBigUInt64LE(BigInt(dataOffsetBytes), at + 8);
    file.writeBigUInt64LE(BigInt(lengthBytes ?? 0), at + 16);
    file.set(token, at + 24);
  }
  file.writeUInt32LE(checksum(file.subarray(HEADER_BYTES)), 12);
  return file;
}

export function decodeTokenFile(bytes: Uint8Array): TokenPiece[] {
  if (bytes.length === TOKEN_BYTES)
    return [{ token: bytes, dataOffsetBytes: 0, lengthBytes: undefined, role: "primary" }];
  if (bytes.length > TOKEN_FILE_BYTES_MAX)
    throw new RopewalkError("TOO_LARGE", `A token file has at most ${TOKENS_IN_FILE_MAX} tokens.`);
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (file.length < HEADER_BYTES || file.toString("latin1", 0, MAGIC.length) !== MAGIC)
    throw notTokens("it is neither one token of 512 bytes nor a token file");
  if (file.readUInt16LE(8) !== VERSION) throw notTokens(`its version ${file.readUInt16LE(8)} is not known`);
  const count = file.readUInt16LE(10);
  if (count === 0 || file.length !== HEADER_BYTES + count * ENTRY_BYTES)
    throw notTokens(`its length does not fit the ${count} tokens that it announces`);
  if (file.readUInt32LE(12) !== checksum(file.subarray(HEADER_BYTES)))
    throw notTokens("its checksum is wrong, so some of it was changed");
  return Array.from({ length: count }, (_, index) => decodeEntry(file, HEADER_BYTES + index * ENTRY_BYTES));
}

function decodeEntry(file: Buffer, at: number): TokenPiece {
  const role = ROLES[file.readUInt32LE(at) - 1];
  if (role === undefined || file.readUInt32LE(at + 4) !== 0) throw notTokens("an entry has an unknown role");
  const [dataOffset, length] = [file.readBigUInt64LE(at + 8), file.readBigUInt64LE(at + 16)];
  if (length === 0n || dataOffset + length > BigInt(Number.MAX_SAFE_INTEGER))
    throw notTokens("an entry's range is empty or too large");
  return {
    token: file.subarray(at + 24, at + ENTRY_BYTES),
    dataOffsetBytes: Number(dataOffset),
    lengthBytes: Number(length),
    role,
  };
}

function notTokens(reason: string): RopewalkError {
  return new RopewalkError("INVALID_ARGUMENT", `These are no tokens: ${reason}.`);
}
