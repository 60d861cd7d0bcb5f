/**
 * What a token says of itself, for layers that must treat one token other than another: the plain fields of
 * docs/formats/token.md.
 * Always holds: nothing here is verified. Whoever relies on it has the device below take the token too, which checks
 * its MAC. Errors: none; what is not laid out like our tokens, as that of zeros, is undefined.
 */

const TOKEN_BYTES = 512;
const AT = {
  type: 0,
  lengthBytes: 56,
  magic: 160,
  version: 164,
  policy: 165,
  flags: 166,
  kind: 167,
  expiresAtMs: 200,
} as const;
/** SPC-4's type of a persistent copy of a point in time. */
const PERSISTENT = 0x0080_0002;
const MAGIC = 0x5277_546b;
const VERSION = 1;
const PRESERVE = 0;
const DELETE_ON_USE = 2;
const STORED = 0;

export interface TokenClaims {
  readonly lengthBytes: number;
  readonly expiresAtMs: number;
  readonly isPersistent: boolean;
  /** A use that did all that was asked ends it. */
  readonly isOneUse: boolean;
  /** The provider keeps the data as it was. */
  readonly isPreserved: boolean;
}

export function readTokenClaims(token: Uint8Array): TokenClaims | undefined {
  if (token.length !== TOKEN_BYTES) return undefined;
  const bytes = Buffer.from(token.buffer, token.byteOffset, token.length);
  if (bytes.readUInt32BE(AT.magic) !== MAGIC || bytes[AT.version] !== VERSION) return undefined;
  return {
    lengthBytes: Number(bytes.readBigUInt64BE(AT.lengthBytes)),
    expiresAtMs: Number(bytes.readBigUInt64BE(AT.expiresAtMs)),
    isPersistent: bytes.readUInt32BE(AT.type) === PERSISTENT,
    isOneUse: (bytes[AT.flags]! & DELETE_ON_USE) !== 0,
    isPreserved: bytes[AT.policy] === PRESERVE && bytes[AT.kind] === STORED,
  };
}
