/**
 * Fields one behind the other, little-endian, into memory that grows. Bytes that are long are kept as views beside it,
 * so that a frame is a list of parts and content is not copied.
 *
 * Always holds: what is written can be read. A size or a time beyond 2^53, which only a strange file system or somebody
 * with ill intent has, becomes 2^53 - 1, the same at both ends, and does not make a whole listing unreadable.
 */
import { highWord } from "../../base/words.ts";

/** Text for people as both ends have it: neither lines nor a terminal's commands. */
export function withoutControls(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}

/** Shorter bytes are copied: a part of its own costs more. */
const PART_BYTES_MIN = 4096;

export class ByteWriter {
  #bytes: Buffer;
  #view: DataView;
  #position = 0;
  #partStart = 0;
  #parts: Uint8Array[] = [];

  constructor(capacity: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Where the next field goes, in the writer's own memory. */
  get position(): number {
    return this.#position;
  }

  /** Goes back (to write over) or forward (over memory that was filled). */
  set position(position: number) {
    if (position > this.#position) this.#reserve(position - this.#position);
    this.#position = position;
  }

  u8(value: number): void {
    const position = this.#reserve(1);
    this.#view.setUint8(position, value);
  }

  u16(value: number): void {
    const position = this.#reserve(2);
    this.#view.setUint16(position, value, true);
  }

  u32(value: number): void {
    const position = this.#reserve(4);
    this.#view.setUint32(position, value, true);
  }

  /** An integer, two's complement when it is negative; cut to what is exact in a double. */
  u64(value: number): void {
    this.word64(Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value)));
  }

  /** The same for what is only compared, such as an inode: any integer that a double holds, below 2^64. */
  word64(value: number): void {
    const position = this.#reserve(8);
    this.#view.setUint32(position, value >>> 0, true);
    this.#view.setUint32(position + 4, highWord(value), true);
  }

  /** One byte for each character. */
  latin1(text: string): void {
    const position = this.#reserve(text.length);
    this.#bytes.write(text, position, "latin1");
  }

  /** With its length before it, in 2 bytes. */
  text16(text: string): void {
    this.u16(text.length);
    this.latin1(text);
  }

  /** With its length before it, in 1 byte. */
  text8(text: string): void {
    this.u8(text.length);
    this.latin1(text);
  }

  /** Text for people, with its length before it in 2 bytes: control characters become spaces, cut where a character begins. */
  utf8(text: string, bytesMax: number): void {
    const bytes = Buffer.from(withoutControls(text), "utf8");
    let length = Math.min(bytes.length, bytesMax);
    while (length < bytes.length && (bytes[length]! & 0xc0) === 0x80) length--;
    this.u16(length);
    this.copy(bytes.subarray(0, length));
  }

  copy(bytes: Uint8Array): void {
    const position = this.#reserve(bytes.length);
    this.#bytes.set(bytes, position);
  }

  /** Like `copy`, but long bytes become a part of their own. They must not change until the parts were sent. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length < PART_BYTES_MIN) {
      this.copy(bytes);
      return;
    }
    this.#seal();
    this.#parts.push(bytes);
  }

  /** The memory of the next `length` bytes; it is filled by somebody else, and `position` goes over it then. */
  memory(length: number): Uint8Array {
    const position = this.#reserve(length);
    this.#position = position;
    return new Uint8Array(this.#bytes.buffer, position, length);
  }

  /** All that was written; the writer is not used any more. */
  parts(): Uint8Array[] {
    this.#seal();
    return this.#parts;
  }

  /** What was written, where nothing became a part of its own; a view. */
  written(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, 0, this.#position);
  }

  #seal(): void {
    if (this.#position > this.#partStart)
      this.#parts.push(this.#bytes.subarray(this.#partStart, this.#position));
    this.#partStart = this.#position;
  }

  /** Where the next bytes go. It may change `#view` and `#bytes`: call it before they are looked at. */
  #reserve(bytes: number): number {
    const start = this.#position;
    const end = start + bytes;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, start));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#position = end;
    return start;
  }
}
