/** Requests of the transmission phase as a client writes them; the layout is drawn in request-parser.ts. */
import { MAGIC_REQUEST, REQUEST_BYTES } from "./constants.ts";

export interface PlainRequest {
  /** CommandFlag, added up. */
  readonly flags: number;
  /** Command. */
  readonly type: number;
  /** Repeated by the reply; the high half of the protocol's cookie stays 0. */
  readonly cookie: number;
  readonly offsetBytes: number;
  /** Below 2^32. */
  readonly lengthBytes: number;
}

export function encodePlainRequest({ flags, type, cookie, offsetBytes, lengthBytes }: PlainRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32BE(MAGIC_REQUEST, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeUInt32BE(cookie, 12);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 16);
  bytes.writeUInt32BE(lengthBytes, 24);
  return bytes;
}
