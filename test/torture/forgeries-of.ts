// What a forger can make of tokens that he has seen: every bit flipped, fields of two tokens mixed, one token's head
// on another's tail, MACs by keys of his own, cut and longer ones. None of them equals a token that was given out.
import { createHmac } from "node:crypto";
import type { Prng } from "../../src/base/prng.ts";

export type ForgeryKind = "bit" | "bits" | "fields" | "splice" | "other key" | "cut" | "longer";

export interface Forgery {
  readonly kind: ForgeryKind;
  readonly bytes: Uint8Array;
}

export interface SeenTokens {
  readonly token: Uint8Array;
  /** Made of another volume with the same request. */
  readonly other: Uint8Array;
  /** Made by a room with another key. */
  readonly foreign: Uint8Array;
}

/** Where the fields of a token begin (docs/formats/token.md), and its end. */
const FIELD_STARTS = [
  0, 6, 8, 16, 24, 48, 96, 128, 160, 164, 165, 166, 167, 168, 176, 192, 200, 208, 224, 232, 233, 240, 480,
  512,
];
const MAC_START = 480;
const MIXES = 512;
const SCATTERED = 256;
const KEYS = 32;
const LONGER_BYTES_MAX = 64;

export function* forgeriesOf(seen: SeenTokens, prng: Prng): Generator<Forgery> {
  const known = [seen.token, seen.other].map((token) => Buffer.from(token));
  for (const forgery of candidates(seen, prng))
    if (!known.some((token) => token.equals(forgery.bytes))) yield forgery;
}

function* candidates({ token, other, foreign }: SeenTokens, prng: Prng): Generator<Forgery> {
  yield* flipped(token);
  for (let count = 0; count < SCATTERED; count++) yield { kind: "bits", bytes: scattered(token, prng) };
  for (let count = 0; count < MIXES; count++) yield { kind: "fields", bytes: mixed(token, other, prng) };
  for (let at = 1; at < token.length; at++) {
    yield { kind: "splice", bytes: Buffer.concat([token.subarray(0, at), other.subarray(at)]) };
    yield { kind: "splice", bytes: Buffer.concat([other.subarray(0, at), token.subarray(at)]) };
  }
  yield { kind: "other key", bytes: foreign };
  yield {
    kind: "other key",
    bytes: Buffer.concat([token.subarray(0, MAC_START), foreign.subarray(MAC_START)]),
  };
  for (let count = 0; count < KEYS; count++) yield { kind: "other key", bytes: signed(token, prng) };
  for (let length = 0; length < token.length; length++)
    yield { kind: "cut", bytes: token.subarray(0, length) };
  for (let more = 1; more <= LONGER_BYTES_MAX; more++)
    yield { kind: "longer", bytes: Buffer.concat([token, other.subarray(0, more)]) };
}

/** Every single bit. */
export function* flipped(token: Uint8Array, step = 1): Generator<Forgery> {
  for (let bit = 0; bit < token.length * 8; bit += step)
    yield { kind: "bit", bytes: withFlipped(token, bit) };
}

export function withFlipped(token: Uint8Array, bit: number): Uint8Array {
  const bytes = token.slice();
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes;
}

function scattered(token: Uint8Array, prng: Prng): Uint8Array {
  const bytes = token.slice();
  for (let left = 2 + (prng.word() % 15); left > 0; left--)
    bytes[prng.word() % bytes.length]! ^= 1 << (prng.word() % 8);
  return bytes;
}

/** Each field from one or the other. */
function mixed(token: Uint8Array, other: Uint8Array, prng: Prng): Uint8Array {
  const bytes = token.slice();
  for (let field = 1; field < FIELD_STARTS.length; field++) {
    const start = FIELD_STARTS[field - 1]!;
    if (prng.chance(0.5)) bytes.set(other.subarray(start, FIELD_STARTS[field]!), start);
  }
  return bytes;
}

/** All that the token says, under a MAC by a key of the forger's. */
function signed(token: Uint8Array, prng: Prng): Uint8Array {
  const key = Uint32Array.from({ length: 8 }, () => prng.word());
  const bytes = token.slice();
  bytes.set(createHmac("sha256", key).update(bytes.subarray(0, MAC_START)).digest(), MAC_START);
  return bytes;
}
