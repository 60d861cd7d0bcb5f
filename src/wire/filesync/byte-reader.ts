/**
 * Reads the fields of bytes from outside in their order, little-endian.
 *
 * Always holds: no field is read past the end; every length and count is checked against its limit before memory is
 * taken for it. What does not hold throws PROTOCOL_ERROR with a sentence that begins with what the bytes are.
 */
import { RopewalkError } from "../../base/errors.ts";
import { TWO_32 } from "../../base/words.ts";
import { withoutControls } from "./byte-writer.ts";
import { isWireName, isWirePath } from "./wire-path.ts";

export class ByteReader {
  readonly #what: string;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #position = 0;

  constructor(what: string, bytes: Uint8Array) {
    this.#what = what;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  /** A size or an offset: below 2^53. */
  u64(): number {
    const value = this.word64();
    if (value > Number.MAX_SAFE_INTEGER) throw this.wrong("a number is 2^53 or more");
    return value;
  }

  /** Any 8 bytes as a number, the nearest double: what is only compared, such as an inode. */
  word64(): number {
    const position = this.#step(8);
    return this.#view.getUint32(position + 4, true) * TWO_32 + this.#view.getUint32(position, true);
  }

  /** Signed, between -2^53 and 2^53. */
  i64(): number {
    const position = this.#step(8);
    const value = this.#view.getInt32(position + 4, true) * TWO_32 + this.#view.getUint32(position, true);
    if (!Number.isSafeInteger(value)) throw this.wrong("a number is 2^53 or more");
    return value;
  }

  /** A byte that is 0 or 1. */
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw this.wrong(`a flag is ${value}, not 0 or 1`);
    return value === 1;
  }

  /** A number of 4 bytes that is at most `max`; `name` stands in the sentence. */
  count(name: string, max: number): number {
    const count = this.u32();
    if (count > max) throw this.wrong(`${count} ${name}, more than ${max}`);
    return count;
  }

  /** One of `values`, by its number; `name` stands in the sentence. */
  choice<Value>(name: string, values: readonly Value[]): Value {
    const number = this.u8();
    if (number >= values.length) throw this.wrong(`there is no ${name} ${number}`);
    return values[number]!;
  }

  zero(bytes: number): void {
    for (let left = bytes; left > 0; left--)
      if (this.u8() !== 0) throw this.wrong("a byte that must be zero is not");
  }

  /** A view. */
  bytes(length: number): Uint8Array {
    const start = this.#step(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** A copy. */
  copied(length: number): Uint8Array {
    return new Uint8Array(this.bytes(length));
  }

  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  latin1(length: number): string {
    const start = this.#step(length);
    return this.#bytes.toString("latin1", start, start + length);
  }

  /** With its length before it in 2 bytes, at most `max`. */
  text16(name: string, max: number): string {
    const length = this.u16();
    if (length > max) throw this.wrong(`${name} of ${length} bytes, more than ${max}`);
    return this.latin1(length);
  }

  /** UTF-8 for people, with its length before it in 2 bytes, at most `max`; control characters become spaces. */
  utf8(name: string, max: number): string {
    const length = this.u16();
    if (length > max) throw this.wrong(`${name} of ${length} bytes, more than ${max}`);
    const start = this.#step(length);
    return withoutControls(this.#bytes.toString("utf8", start, start + length));
  }

  /** A path below the root. */
  path(): string {
    const path = this.latin1(this.u16());
    if (!isWirePath(path)) throw this.wrong(`${named(path)} is no path below the root`);
    return path;
  }

  pathOrRoot(): string {
    const length = this.u16();
    if (length === 0) return "";
    const path = this.latin1(length);
    if (!isWirePath(path)) throw this.wrong(`${named(path)} is no path below the root`);
    return path;
  }

  /** A name of one entry, with its length before it in 1 byte. */
  name(): string {
    const name = this.latin1(this.u8());
    if (!isWireName(name)) throw this.wrong(`${named(name)} is no name of a file`);
    return name;
  }

  nameOrRoot(): string {
    const length = this.u8();
    if (length === 0) return "";
    const name = this.latin1(length);
    if (!isWireName(name)) throw this.wrong(`${named(name)} is no name of a file`);
    return name;
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left !== 0) throw this.wrong(`${this.left} bytes too many`);
  }

  /** To be thrown. */
  wrong(sentence: string): RopewalkError {
    return new RopewalkError("PROTOCOL_ERROR", `${this.#what}: ${sentence}`);
  }

  #step(bytes: number): number {
    const start = this.#position;
    if (this.#bytes.length - start < bytes)
      throw this.wrong(`it ends ${bytes - (this.#bytes.length - start)} bytes before a field's end`);
    this.#position = start + bytes;
    return start;
  }
}

/** Hostile bytes in a sentence: quoted, all but plain ASCII escaped, cut. */
function named(path: string): string {
  const charactersMax = 80;
  const cut = path.length > charactersMax ? `${path.slice(0, charactersMax)}...` : path;
  return `"${cut.replace(/[^ -~]|["\\]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)}"`;
}
