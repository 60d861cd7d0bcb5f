/**
 * What tokens carry themselves of data for which nothing is stored: hashes of its blocks (T23), or, in a companion, a
 * checksum of its primary's data (T24); docs/formats/token.md has the layout.
 *
 * Always holds: a hash token's blocks cover its data, and are no more than there is room for.
 */
import { assert } from "../base/assert.ts";

export const HASH_BYTES = 32;
export const LOCATOR_BYTES = 16;
export const HASHES_MAX = 7;
const BLOCK_BYTES_MIN = 4096;
/** A use hashes whole blocks, however little of one it wants. */
const BLOCK_BYTES_MAX = 8 * 2 ** 20;
/** The longest range that one hash token covers. */
export const HASHED_BYTES_MAX = HASHES_MAX * BLOCK_BYTES_MAX;

export interface HashPayload {
  readonly kind: "hash";
  /** What it was made of: the UUID, or a digest of the provider's id. */
  readonly locator: Uint8Array;
  readonly offsetBytes: number;
  readonly blockBytes: number;
  /** Of one block each; the last may be shorter. */
  readonly hashes: readonly Uint8Array[];
}

export interface ChecksumPayload {
  readonly kind: "checksum";
  /** Id of the token whose companion it is. */
  readonly primaryId: Uint8Array;
  readonly checksum: Uint8Array;
}

export type TokenPayload = HashPayload | ChecksumPayload;
type Kind = "data" | TokenPayload["kind"];

const KINDS: readonly Kind[] = ["data", "hash", "checksum"];
const AT = {
  kind: 167,
  locator: 208,
  offsetBytes: 224,
  blockExponent: 232,
  count: 233,
  hashes: 240,
  primaryId: 208,
  checksum: 224,
} as const;
const PRIMARY_ID_BYTES = 8;

/** The smallest blocks with which the hashes of so much data fit a token. */
export function hashedBlockBytes(lengthBytes: number): number {
  assert(lengthBytes > 0 && lengthBytes <= HASHED_BYTES_MAX, "a hash token covers a bounded range");
  let blockBytes = BLOCK_BYTES_MIN;
  while (blockBytes * HASHES_MAX < lengthBytes) blockBytes *= 2;
  return blockBytes;
}

export function writePayload(token: Buffer, payload: TokenPayload | undefined): void {
  token[AT.kind] = KINDS.indexOf(payload?.kind ?? "data");
  if (payload?.kind === "hash") {
    assert(payload.hashes.length <= HASHES_MAX, "a token has room for its hashes");
    token.set(payload.locator, AT.locator);
    token.writeBigUInt64BE(BigInt(payload.offsetBytes), AT.offsetBytes);
    token[AT.blockExponent] = Math.log2(payload.blockBytes);
    token[AT.count] = payload.hashes.length;
    for (const [index, hash] of payload.hashes.entries()) token.set(hash, AT.hashes + index * HASH_BYTES);
  } else if (payload?.kind === "checksum") {
    token.set(payload.primaryId, AT.primaryId);
    token.set(payload.checksum, AT.checksum);
  }
}

/** Of a token whose MAC is good; undefined when this version would not have made it. */
export function readPayload(
  token: Buffer,
  lengthBytes: number,
): { payload: TokenPayload | undefined } | undefined {
  const part = (at: number, length: number) => token.subarray(at, at + length);
  switch (KINDS[token[AT.kind]!]) {
    case "data":
      return { payload: undefined };
    case "hash": {
      const blockBytes = 2 ** token[AT.blockExponent]!;
      const count = token[AT.count]!;
      const offsetBytes = Number(token.readBigUInt64BE(AT.offsetBytes));
      if (blockBytes < BLOCK_BYTES_MIN || blockBytes > BLOCK_BYTES_MAX) return undefined;
      if (!Number.isSafeInteger(offsetBytes + lengthBytes)) return undefined;
      if (count === 0 || count > HASHES_MAX || count !== Math.ceil(lengthBytes / blockBytes))
        return undefined;
      const hashes = Array.from({ length: count }, (_, index) =>
        part(AT.hashes + index * HASH_BYTES, HASH_BYTES),
      );
      return {
        payload: { kind: "hash", locator: part(AT.locator, LOCATOR_BYTES), offsetBytes, blockBytes, hashes },
      };
    }
    case "checksum": {
      const primaryId = part(AT.primaryId, PRIMARY_ID_BYTES);
      return { payload: { kind: "checksum", primaryId, checksum: part(AT.checksum, HASH_BYTES) } };
    }
    case undefined:
      return undefined;
  }
}
