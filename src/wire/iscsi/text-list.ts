/**
 * Lists of `key=value` as login and text PDUs carry them (RFC 7143, 6.1), possibly spread over several PDUs.
 *
 * Always holds: a list stays within its limits of bytes and pairs, whatever the pieces are; keys and values are of
 * the form that the standard gives. Everything else throws PROTOCOL_ERROR.
 */
import { RopewalkError } from "../../base/errors.ts";

export type TextPair = readonly [key: string, value: string];

export interface TextLimits {
  readonly bytesMax: number;
  readonly pairsMax: number;
}

/** A key name (6.1). */
const KEY = /^[A-Z][A-Za-z0-9.\-+@_]{0,62}$/;
/** Control characters have no place in a value. */
const VALUE = /^[^\u0000-\u001f\u007f]*$/u;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeText(pairs: Iterable<TextPair>): Uint8Array {
  let text = "";
  for (const [key, value] of pairs) text += `${key}=${value}\0`;
  return new TextEncoder().encode(text);
}

/** Collects a list from the data segments that it comes in. */
export class TextCollector {
  readonly #limits: TextLimits;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(limits: TextLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Takes a copy of a piece. */
  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#bytes += piece.length;
    if (this.#bytes > this.#limits.bytesMax)
      throw malformed(`it is longer than ${this.#limits.bytesMax} bytes`);
    // A Buffer's own `slice` would not copy.
    this.#pieces.push(new Uint8Array(piece));
  }

  /** The whole list, in its order; the collector is empty then. Keys may stand in it twice. */
  finish(): TextPair[] {
    const bytes = new Uint8Array(this.#bytes);
    let position = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, position);
      position += piece.length;
    }
    this.#pieces = [];
    this.#bytes = 0;
    return decodeText(bytes, this.#limits.pairsMax);
  }
}

function decodeText(bytes: Uint8Array, pairsMax: number): TextPair[] {
  const pairs: TextPair[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    if (end < 0) throw malformed("its last pair does not end");
    // More zeros than one may stand behind a pair.
    if (end > start) {
      if (pairs.length === pairsMax) throw malformed(`it has more than ${pairsMax} pairs`);
      pairs.push(decodePair(bytes.subarray(start, end)));
    }
    start = end + 1;
  }
  return pairs;
}

function decodePair(bytes: Uint8Array): TextPair {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw malformed("a pair is not UTF-8");
  }
  const equals = text.indexOf("=");
  const key = text.slice(0, Math.max(0, equals));
  const value = text.slice(equals + 1);
  if (!KEY.test(key)) throw malformed("a pair has no key of the right form");
  if (!VALUE.test(value)) throw malformed(`the value of ${key} has control characters`);
  return [key, value];
}

function malformed(reason: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", `a text list: ${reason}`);
}
