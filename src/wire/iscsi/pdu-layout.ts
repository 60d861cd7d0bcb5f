/**
 * Basic header segments as tables: a PDU's layout names its fields and where they stand, and both directions of
 * the codec come from that table.
 *
 * Always holds: decoding reads only the 48 bytes at its position and ignores reserved bits; encoding writes all 48,
 * what is not named as zeros. A field's value that does not fit is a programmer's error and is cut.
 */
import { BASIC_HEADER_BYTES } from "./constants.ts";

export interface PduField<Value> {
  read(view: DataView, position: number): Value;
  /** The bytes were zero before; fields that share a byte add their bits. */
  write(view: DataView, position: number, value: Value): void;
}

type ValueOf<Field> = Field extends PduField<infer Value> ? Value : never;

/** The typed value of a PDU's header. */
export type PduOf<Layout> =
  Layout extends PduLayout<infer Opcode, infer Fields>
    ? { readonly opcode: Opcode } & { readonly [Name in keyof Fields]: ValueOf<Fields[Name]> }
    : never;

/** What is encoded: a field that is left out is zero. */
export type PduFields<Fields> = { readonly [Name in keyof Fields]?: ValueOf<Fields[Name]> };

export class PduLayout<Opcode extends number, Fields extends object> {
  readonly opcode: Opcode;
  readonly names: readonly string[];
  readonly #fields: readonly PduField<unknown>[];

  constructor(opcode: Opcode, fields: Fields) {
    this.opcode = opcode;
    this.names = Object.keys(fields);
    this.#fields = Object.values(fields) as PduField<unknown>[];
  }

  /** Reads the header at `position`, which is of this opcode. */
  decode(view: DataView, position: number): PduOf<PduLayout<Opcode, Fields>> {
    const pdu: Record<string, unknown> = { opcode: this.opcode };
    for (let index = 0; index < this.names.length; index++)
      pdu[this.names[index]!] = this.#fields[index]!.read(view, position);
    return pdu as PduOf<PduLayout<Opcode, Fields>>;
  }

  encode(view: DataView, position: number, values: PduFields<Fields>): void {
    for (let word = 0; word < BASIC_HEADER_BYTES; word += 4) view.setUint32(position + word, 0);
    view.setUint8(position, this.opcode);
    for (let index = 0; index < this.names.length; index++) {
      const value = (values as Record<string, unknown>)[this.names[index]!];
      if (value !== undefined) this.#fields[index]!.write(view, position, value);
    }
  }
}

/** One bit of a byte, by its mask. */
export function flag(byte: number, mask: number): PduField<boolean> {
  return {
    read: (view, position) => (view.getUint8(position + byte) & mask) !== 0,
    write: (view, position, value) => {
      if (value) view.setUint8(position + byte, view.getUint8(position + byte) | mask);
    },
  };
}

/** Some bits of a byte: `mask` before the shift. */
export function bits(
  byte: number,
  options: { readonly mask: number; readonly shift: number },
): PduField<number> {
  const { mask, shift } = options;
  return {
    read: (view, position) => (view.getUint8(position + byte) & mask) >>> shift,
    write: (view, position, value) =>
      view.setUint8(position + byte, view.getUint8(position + byte) | ((value << shift) & mask)),
  };
}

export function number8(byte: number): PduField<number> {
  return {
    read: (view, position) => view.getUint8(position + byte),
    write: (view, position, value) => view.setUint8(position + byte, value),
  };
}

export function number16(byte: number): PduField<number> {
  return {
    read: (view, position) => view.getUint16(position + byte),
    write: (view, position, value) => view.setUint16(position + byte, value),
  };
}

export function number32(byte: number): PduField<number> {
  return {
    read: (view, position) => view.getUint32(position + byte),
    write: (view, position, value) => view.setUint32(position + byte, value),
  };
}

/** Bytes as they are, copied out. */
export function octets(byte: number, length: number): PduField<Uint8Array> {
  return {
    read: (view, position) => new Uint8Array(view.buffer, view.byteOffset + position + byte, length).slice(),
    write: (view, position, value) =>
      new Uint8Array(view.buffer, view.byteOffset + position + byte, length).set(value.subarray(0, length)),
  };
}

/** Bytes of additional header segments: counted in words on the wire. */
export const additionalHeaderBytes: PduField<number> = {
  read: (view, position) => view.getUint8(position + 4) * 4,
  write: (view, position, value) => view.setUint8(position + 4, value / 4),
};

/** Bytes of the data segment, without padding. */
export const dataSegmentBytes: PduField<number> = {
  read: (view, position) => view.getUint32(position + 4) & 0xff_ffff,
  write: (view, position, value) =>
    view.setUint32(position + 4, ((view.getUint32(position + 4) & 0xff00_0000) | value) >>> 0),
};

/** Bytes with the padding to whole words. */
export function paddedBytes(length: number): number {
  return (length + 3) & ~3;
}
