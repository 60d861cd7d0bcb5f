/**
 * Values of text keys (RFC 7143, 6.1): numbers, ranges of numbers, Booleans, binary values, names.
 * Always holds: a value that is not of the form in question is undefined, never a guess.
 */

const DECIMAL = /^(?:0|[1-9][0-9]{0,9})$/;
const HEXADECIMAL = /^0[xX][0-9a-fA-F]{1,8}$/;
const BASE64 = /^0[bB][A-Za-z0-9+/]+={0,2}$/;
const HEX_BYTES = /^0[xX](?:[0-9a-fA-F]{2})+$/;
/** 4.2.7.2: the three kinds, already in lower case. */
const NAME =
  /^(?:iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.\-:]+|eui\.[0-9a-f]{16}|naa\.[0-9a-f]{16}(?:[0-9a-f]{16})?)$/;
/** Longest name, in bytes. */
export const NAME_BYTES_MAX = 223;

export function textNumber(value: string): number | undefined {
  return DECIMAL.test(value) || HEXADECIMAL.test(value) ? Number(value) : undefined;
}

export function textBoolean(value: string): boolean | undefined {
  if (value === "Yes") return true;
  return value === "No" ? false : undefined;
}

/** A binary value of at most `bytesMax` bytes, in hexadecimal or base64. */
export function textBytes(value: string, bytesMax: number): Uint8Array | undefined {
  if (value.length > 2 + 2 * bytesMax) return undefined;
  let bytes: Uint8Array | undefined;
  if (HEX_BYTES.test(value)) bytes = Buffer.from(value.slice(2), "hex");
  else if (BASE64.test(value)) bytes = Buffer.from(value.slice(2), "base64");
  return bytes !== undefined && bytes.length > 0 && bytes.length <= bytesMax ? bytes : undefined;
}

export function hexText(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

/** The name in the form that names are compared in; undefined when it is none. */
export function iscsiName(value: string): string | undefined {
  const name = value.normalize("NFKC").toLowerCase();
  return Buffer.byteLength(name) <= NAME_BYTES_MAX && NAME.test(name) ? name : undefined;
}
