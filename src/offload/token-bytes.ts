/**
 * A token as 512 bytes: the layout of SPC-4's ROD token, then our own bytes and a keyed MAC (docs/formats/token.md).
 *
 * Always holds: the MAC covers every byte before it and is checked first and in constant time; what does not verify
 * is undefined, whatever is wrong with it (T8). Numbers are big-endian, as in SCSI.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { assert } from "../base/assert.ts";
import type { ChangePolicy } from "../device/mod.ts";
import { readPayload, type TokenPayload, writePayload } from "./token-payload.ts";
import { TOKEN_BYTES } from "./token-service.ts";

export const TOKEN_KEY_BYTES = 32;
export const TOKEN_ID_BYTES = 8;
export const TOKEN_NONCE_BYTES = 16;
export const UNIT_NAME_BYTES = 8;

/** SPC-4, 7.8: what stands behind the length field. */
const TOKEN_LENGTH_FIELD = TOKEN_BYTES - 8;
const AT = {
  type: 0,
  lengthField: 6,
  id: 8,
  creator: 16,
  lengthBytes: 48,
  capacity: 96,
  target: 128,
  magic: 160,
  version: 164,
  policy: 165,
  flags: 166,
  generation: 168,
  nonce: 176,
  createdAtMs: 192,
  expiresAtMs: 200,
  mac: 480,
} as const;
const GENERATION_BYTES = 8;
const MAGIC = 0x5277_546b;
const VERSION = 1;
const POLICIES: readonly ChangePolicy[] = ["preserve", "invalidate", "reference"];
const Flag = { persistent: 1, deleteOnUse: 2, isProtected: 4 } as const;

export const RodType = {
  onReference: 0x0001_0000,
  pointInTime: 0x0080_0000,
  changeVulnerable: 0x0080_0001,
  persistent: 0x0080_0002,
  zero: 0xffff_0001,
} as const;

/** CSCD descriptor (E4h) of a disk with a designator of NAA type, and a target port's T10 vendor designator. */
const CSCD_DESIGNATION = 0xe4;
const CODE_SET_BINARY = 1;
const CODE_SET_ASCII = 2;
const DESIGNATOR_T10 = 1;
const DESIGNATOR_NAA = 3;
const ASSOCIATION_TARGET_DEVICE = 0x20;
const TARGET_NAME_BYTES = 24;
const BLOCK_BYTES = 512;
/** READ CAPACITY (16): 8 blocks of 512 bytes are one physical; thin, and trimmed blocks read as zeros. */
const PHYSICAL_EXPONENT = 3;
const THIN_READS_ZEROS = 0xc0;

export interface TokenFields {
  readonly id: Uint8Array;
  readonly nonce: Uint8Array;
  /** NAA name of the unit that it was made of. */
  readonly unit: Uint8Array;
  readonly lengthBytes: number;
  readonly policy: ChangePolicy;
  readonly persistent: boolean;
  readonly deleteOnUse: boolean;
  readonly isProtected: boolean;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** Undefined: what it stands for is kept in the token store. */
  readonly payload?: TokenPayload;
}

/** As large as in real tokens: numbers of other sizes take another time to read. */
const STAND_IN_FIELDS: TokenFields = {
  id: new Uint8Array(TOKEN_ID_BYTES),
  nonce: new Uint8Array(TOKEN_NONCE_BYTES),
  unit: new Uint8Array(UNIT_NAME_BYTES),
  lengthBytes: 2 ** 30,
  policy: "preserve",
  persistent: false,
  deleteOnUse: false,
  isProtected: true,
  createdAtMs: 2 ** 41,
  expiresAtMs: 2 ** 42,
};

export class TokenBytes {
  readonly #key: Uint8Array;
  readonly #target: Uint8Array;
  /** Says by which key a token was made, and nothing else about it. */
  readonly generation: Uint8Array;
  /** Read in place of bytes that do not verify. */
  readonly #standIn: Buffer;

  constructor(key: Uint8Array) {
    assert(key.length === TOKEN_KEY_BYTES, "the key of tokens has 32 bytes");
    this.#key = key.slice();
    this.generation = this.#hmac(Buffer.from("generation")).subarray(0, GENERATION_BYTES);
    const device = this.#hmac(Buffer.from("target device")).subarray(0, 8);
    this.#target = Buffer.from(`ROPEWALK${device.toString("hex")}`);
    this.#standIn = Buffer.from(this.encode(STAND_IN_FIELDS).buffer);
  }

  encode(fields: TokenFields): Uint8Array {
    const token = new Uint8Array(TOKEN_BYTES);
    const bytes = Buffer.from(token.buffer);
    this.#describe(bytes, fields);
    token.set(this.#hmac(bytes.subarray(0, AT.mac)), AT.mac);
    return token;
  }

  #describe(token: Buffer, fields: TokenFields): void {
    const { id, nonce, unit, policy, persistent } = fields;
    assert(
      id.length === TOKEN_ID_BYTES && nonce.length === TOKEN_NONCE_BYTES,
      "a token's random bytes are whole",
    );
    assert(unit.length === UNIT_NAME_BYTES, "a unit's name has 8 bytes");
    token.writeUInt32BE(rodType(policy, persistent), AT.type);
    token.writeUInt16BE(TOKEN_LENGTH_FIELD, AT.lengthField);
    token.set(id, AT.id);
    token[AT.creator] = CSCD_DESIGNATION;
    token[AT.creator + 4] = CODE_SET_BINARY;
    token[AT.creator + 5] = DESIGNATOR_NAA;
    token[AT.creator + 7] = UNIT_NAME_BYTES;
    token.set(unit, AT.creator + 8);
    token.writeUIntBE(BLOCK_BYTES, AT.creator + 29, 3);
    token.writeBigUInt64BE(BigInt(fields.lengthBytes), AT.lengthBytes + 8);
    token.writeUInt32BE(BLOCK_BYTES, AT.capacity);
    token[AT.capacity + 5] = PHYSICAL_EXPONENT;
    token[AT.capacity + 6] = THIN_READS_ZEROS;
    token[AT.target] = CODE_SET_ASCII;
    token[AT.target + 1] = ASSOCIATION_TARGET_DEVICE | DESIGNATOR_T10;
    token[AT.target + 3] = TARGET_NAME_BYTES;
    token.set(this.#target, AT.target + 4);
    token.writeUInt32BE(MAGIC, AT.magic);
    token[AT.version] = VERSION;
    token[AT.policy] = POLICIES.indexOf(policy);
    token[AT.flags] =
      (persistent ? Flag.persistent : 0) |
      (fields.deleteOnUse ? Flag.deleteOnUse : 0) |
      (fields.isProtected ? Flag.isProtected : 0);
    token.set(this.generation, AT.generation);
    token.set(nonce, AT.nonce);
    token.writeBigUInt64BE(BigInt(fields.createdAtMs), AT.createdAtMs);
    token.writeBigUInt64BE(BigInt(fields.expiresAtMs), AT.expiresAtMs);
    writePayload(token, fields.payload);
  }

  /** What a token says that this key made; undefined for any other bytes. */
  verify(token: Uint8Array): TokenFields | undefined {
    if (token.length !== TOKEN_BYTES) return undefined;
    const bytes = Buffer.from(token.buffer, token.byteOffset, token.length);
    const isGenuine = timingSafeEqual(this.#hmac(bytes.subarray(0, AT.mac)), bytes.subarray(AT.mac));
    // What does not verify takes as long as what does: a refusal tells nothing by its time either.
    const fields = this.#read(isGenuine ? bytes : this.#standIn);
    return isGenuine ? fields : undefined;
  }

  #read(bytes: Buffer): TokenFields | undefined {
    const lengthBytes = Number(bytes.readBigUInt64BE(AT.lengthBytes + 8));
    const policy = POLICIES[bytes[AT.policy]!];
    const flags = bytes[AT.flags]!;
    const createdAtMs = Number(bytes.readBigUInt64BE(AT.createdAtMs));
    const expiresAtMs = Number(bytes.readBigUInt64BE(AT.expiresAtMs));
    for (const value of [lengthBytes, createdAtMs, expiresAtMs])
      if (!Number.isSafeInteger(value)) return undefined;
    const read = readPayload(bytes, lengthBytes);
    if (policy === undefined || read === undefined) return undefined;
    const fields: TokenFields = {
      id: bytes.subarray(AT.id, AT.id + TOKEN_ID_BYTES),
      nonce: bytes.subarray(AT.nonce, AT.nonce + TOKEN_NONCE_BYTES),
      unit: bytes.subarray(AT.creator + 8, AT.creator + 8 + UNIT_NAME_BYTES),
      lengthBytes,
      policy,
      persistent: (flags & Flag.persistent) !== 0,
      deleteOnUse: (flags & Flag.deleteOnUse) !== 0,
      isProtected: (flags & Flag.isProtected) !== 0,
      createdAtMs,
      expiresAtMs,
      ...(read.payload !== undefined && { payload: read.payload }),
    };
    // Every other byte is what it must be: what this version would not write, it does not take.
    const again = Buffer.alloc(AT.mac);
    this.#describe(again, fields);
    return again.equals(bytes.subarray(0, AT.mac)) ? fields : undefined;
  }

  #hmac(bytes: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(bytes).digest();
  }
}

/** The well-known token of zeros (SBC-3, T16). */
export function zeroTokenBytes(): Uint8Array {
  const token = Buffer.alloc(TOKEN_BYTES);
  token.writeUInt32BE(RodType.zero, AT.type);
  token.writeUInt16BE(TOKEN_LENGTH_FIELD, AT.lengthField);
  return new Uint8Array(token);
}

function rodType(policy: ChangePolicy, persistent: boolean): number {
  if (policy === "reference") return RodType.onReference;
  if (policy === "invalidate") return RodType.changeVulnerable;
  return persistent ? RodType.persistent : RodType.pointInTime;
}
