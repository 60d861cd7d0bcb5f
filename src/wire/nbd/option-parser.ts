/**
 * What a client sends during the handshake, from bytes to typed values: its flags, then options.
 *
 * Always holds: lengths are checked against the bytes that are there before anything is read; strings are
 * valid UTF-8 without NUL and at most 4096 bytes. Bytes that break the framing throw PROTOCOL_ERROR (the
 * connection cannot go on); data that is wrong inside its frame becomes `malformed` (the client is told).
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  HandshakeFlag,
  MAGIC_OPTION_HIGH,
  MAGIC_OPTION_LOW,
  META_QUERIES_MAX,
  OPTION_HEADER_BYTES,
  Option,
  STRING_BYTES_MAX,
} from "./constants.ts";

export const CLIENT_FLAGS_BYTES = 4;

export interface ClientFlags {
  readonly fixedNewstyle: boolean;
  /** The client does without the 124 zeroes behind the answer to EXPORT_NAME. */
  readonly noZeroes: boolean;
}

export interface OptionHeader {
  readonly option: number;
  readonly lengthBytes: number;
}

export type ClientOption =
  | { readonly kind: "exportName"; readonly name: string }
  | { readonly kind: "abort" }
  | { readonly kind: "list" }
  | { readonly kind: "startTls" }
  | { readonly kind: "info" | "go"; readonly name: string; readonly requests: readonly number[] }
  | { readonly kind: "structuredReply" }
  | {
      readonly kind: "listMetaContext" | "setMetaContext";
      readonly name: string;
      readonly queries: readonly string[];
    }
  | { readonly kind: "extendedHeaders" }
  | { readonly kind: "unknown" }
  | { readonly kind: "malformed"; readonly sentence: string };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The first four bytes of a client. Throws PROTOCOL_ERROR for a flag that was not offered. */
export function parseClientFlags(view: DataView, position: number): ClientFlags {
  const flags = view.getUint32(position);
  const known = HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes;
  if (flags > known)
    throw new RopewalkError(
      "PROTOCOL_ERROR",
      `the client set handshake flags 0x${flags.toString(16)}, which were not offered`,
    );
  return {
    fixedNewstyle: (flags & HandshakeFlag.fixedNewstyle) !== 0,
    noZeroes: (flags & HandshakeFlag.noZeroes) !== 0,
  };
}

/** The header of an option at `position`, or undefined when fewer than 16 bytes are there. */
export function parseOptionHeader(view: DataView, position: number, end: number): OptionHeader | undefined {
  if (end - position < OPTION_HEADER_BYTES) return undefined;
  if (view.getUint32(position) !== MAGIC_OPTION_HIGH || view.getUint32(position + 4) !== MAGIC_OPTION_LOW)
    throw new RopewalkError("PROTOCOL_ERROR", "an option does not begin with IHAVEOPT");
  return { option: view.getUint32(position + 8), lengthBytes: view.getUint32(position + 12) };
}

/** The data of an option, all of it, as a value. Never throws. */
export function parseOptionData(option: number, data: Uint8Array): ClientOption {
  try {
    return parseData(option, new OptionReader(data));
  } catch (error) {
    if (error instanceof Malformed) return { kind: "malformed", sentence: error.message };
    throw error;
  }
}

function parseData(option: number, reader: OptionReader): ClientOption {
  switch (option) {
    case Option.exportName:
      return { kind: "exportName", name: reader.text(reader.remainingBytes) };
    case Option.abort:
      return { kind: "abort" };
    case Option.list:
      return reader.nothingMore({ kind: "list" });
    case Option.startTls:
      return reader.nothingMore({ kind: "startTls" });
    case Option.info:
    case Option.go: {
      const name = reader.text(reader.u32());
      const requests = new Set<number>();
      for (let left = reader.u16(); left > 0; left--) requests.add(reader.u16());
      return reader.nothingMore({
        kind: option === Option.go ? "go" : "info",
        name,
        requests: [...requests],
      });
    }
    case Option.structuredReply:
      return reader.nothingMore({ kind: "structuredReply" });
    case Option.listMetaContext:
    case Option.setMetaContext: {
      const name = reader.text(reader.u32());
      const count = reader.u32();
      if (count > META_QUERIES_MAX) throw new Malformed(`more than ${META_QUERIES_MAX} queries`);
      const queries: string[] = [];
      for (let left = count; left > 0; left--) queries.push(reader.text(reader.u32()));
      const kind = option === Option.setMetaContext ? "setMetaContext" : "listMetaContext";
      return reader.nothingMore({ kind, name, queries });
    }
    case Option.extendedHeaders:
      return reader.nothingMore({ kind: "extendedHeaders" });
    default:
      return { kind: "unknown" };
  }
}

class Malformed extends Error {}

/** Reads the fields of one option's data in order; stepping over its end is `Malformed`. */
class OptionReader {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get remainingBytes(): number {
    return this.#data.length - this.#position;
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4));
  }

  text(lengthBytes: number): string {
    if (lengthBytes > STRING_BYTES_MAX)
      throw new Malformed(`a string is longer than ${STRING_BYTES_MAX} bytes`);
    const start = this.#step(lengthBytes);
    const bytes = this.#data.subarray(start, start + lengthBytes);
    if (bytes.includes(0)) throw new Malformed("a string contains NUL");
    try {
      return utf8.decode(bytes);
    } catch {
      throw new Malformed("a string is not UTF-8");
    }
  }

  nothingMore<Value>(value: Value): Value {
    if (this.remainingBytes !== 0)
      throw new Malformed(`${this.remainingBytes} bytes too many in the option's data`);
    return value;
  }

  #step(bytes: number): number {
    if (this.remainingBytes < bytes) throw new Malformed("the option's data is too short");
    const start = this.#position;
    this.#position += bytes;
    return start;
  }
}
