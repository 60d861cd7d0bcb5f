/**
 * Extended attributes and ACLs of one file, packed: the form in which operations carry them and in which they are hashed.
 *
 * Always holds: names are sorted by bytes and different, so that the same attributes are the same bytes; no attributes
 * are no bytes. Too many or too long ones cannot be packed (TOO_LARGE).
 *
 * | size | field |
 * | ---- | ----- |
 * | 2    | count, 1 to 256; then for each: |
 * | 1    | length of the name, 1 to 255 |
 * | 4    | length of the value, to 65,536 |
 * |      | name, value |
 */
import { checksum } from "../../base/checksum.ts";
import { RopewalkError } from "../../base/errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import {
  EXTENDED_BYTES_MAX,
  EXTENDED_NAMES_MAX,
  EXTENDED_VALUE_BYTES_MAX,
  NAME_BYTES_MAX,
} from "./constants.ts";

export interface ExtendedAttribute {
  /** One character for each byte: `user.x`, `system.posix_acl_access`. */
  readonly name: string;
  readonly value: Uint8Array;
}

const NONE = new Uint8Array(0);

/** Sorted by name; empty for none. TOO_LARGE, INVALID_ARGUMENT */
export function packExtended(attributes: readonly ExtendedAttribute[]): Uint8Array {
  if (attributes.length === 0) return NONE;
  if (attributes.length > EXTENDED_NAMES_MAX)
    throw new RopewalkError(
      "TOO_LARGE",
      `A file has ${attributes.length} extended attributes; at most ${EXTENDED_NAMES_MAX} are replicated.`,
    );
  const sorted = attributes.toSorted((one, other) =>
    one.name < other.name ? -1 : one.name > other.name ? 1 : 0,
  );
  let length = 2;
  for (const [index, { name, value }] of sorted.entries()) {
    if (!isName(name) || name === sorted[index - 1]?.name)
      throw new RopewalkError("INVALID_ARGUMENT", "An extended attribute's name is wrong or there twice.");
    if (value.length > EXTENDED_VALUE_BYTES_MAX)
      throw new RopewalkError(
        "TOO_LARGE",
        `An extended attribute has ${value.length} bytes; at most ${EXTENDED_VALUE_BYTES_MAX} are replicated.`,
      );
    length += 5 + name.length + value.length;
  }
  if (length > EXTENDED_BYTES_MAX)
    throw new RopewalkError(
      "TOO_LARGE",
      `A file's extended attributes have ${length} bytes; at most ${EXTENDED_BYTES_MAX} are replicated.`,
    );
  const writer = new ByteWriter(length);
  writer.u16(sorted.length);
  for (const { name, value } of sorted) {
    writer.u8(name.length);
    writer.u32(value.length);
    writer.latin1(name);
    writer.copy(value);
  }
  return writer.written();
}

/** The values are views. PROTOCOL_ERROR */
export function readExtended(bytes: Uint8Array): ExtendedAttribute[] {
  const attributes: ExtendedAttribute[] = [];
  if (bytes.length === 0) return attributes;
  const reader = new ByteReader("extended attributes", bytes);
  if (bytes.length > EXTENDED_BYTES_MAX)
    throw reader.wrong(`${bytes.length} bytes, more than ${EXTENDED_BYTES_MAX}`);
  const count = reader.u16();
  if (count === 0 || count > EXTENDED_NAMES_MAX)
    throw reader.wrong(`${count} names, not 1 to ${EXTENDED_NAMES_MAX}`);
  for (let left = count, before = ""; left > 0; left--) {
    const nameBytes = reader.u8();
    const valueBytes = reader.count("bytes of a value", EXTENDED_VALUE_BYTES_MAX);
    const name = reader.latin1(nameBytes);
    if (!isName(name)) throw reader.wrong("a name is empty or has a NUL in it");
    if (name <= before) throw reader.wrong("names are not in order");
    before = name;
    attributes.push({ name, value: reader.bytes(valueBytes) });
  }
  reader.end();
  return attributes;
}

/** What of packed attributes is compared: 0 for none, else never 0. */
export function extendedHash(packed: Uint8Array): number {
  return packed.length === 0 ? 0 : checksum(packed) || 1;
}

function isName(name: string): boolean {
  return name.length > 0 && name.length <= NAME_BYTES_MAX && !/[\0\u0100-\uffff]/.test(name);
}
