/**
 * The numbers of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md; extended headers from its branch
 * extension-ext-header; the qemu contexts from qemu's docs/interop/nbd.rst).
 * Always holds: nothing here is ours to choose, except the limits at the end, which say why they are safe.
 */

export const MAGIC_GREETING_HIGH = 0x4e42444d; // "NBDM"
export const MAGIC_GREETING_LOW = 0x41474943; // "AGIC"
export const MAGIC_OPTION_HIGH = 0x49484156; // "IHAV"
export const MAGIC_OPTION_LOW = 0x454f5054; // "EOPT"
export const MAGIC_OPTION_REPLY_HIGH = 0x0003e889;
export const MAGIC_OPTION_REPLY_LOW = 0x045565a9;
export const MAGIC_REQUEST = 0x25609513;
export const MAGIC_SIMPLE_REPLY = 0x67446698;
export const MAGIC_STRUCTURED_REPLY = 0x668e33ef;
export const MAGIC_EXTENDED_REQUEST = 0x21e41c71;
export const MAGIC_EXTENDED_REPLY = 0x6e8a278c;

/** Bits of both the server's and the client's handshake flags. */
export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

export const OptionReply = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;

const optionError = (number: number) => 0x8000_0000 + number;

export const OptionError = {
  unsupported: optionError(1),
  policy: optionError(2),
  invalid: optionError(3),
  platform: optionError(4),
  tlsRequired: optionError(5),
  unknownExport: optionError(6),
  shutdown: optionError(7),
  blockSizeRequired: optionError(8),
  tooBig: optionError(9),
  extendedHeadersRequired: optionError(10),
} as const;

export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const TransmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  rotational: 1 << 4,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  dontFragment: 1 << 7,
  multipleConnections: 1 << 8,
  cache: 1 << 10,
  fastZero: 1 << 11,
  blockStatusPayload: 1 << 12,
} as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const CommandFlag = {
  fua: 1 << 0,
  noHole: 1 << 1,
  dontFragment: 1 << 2,
  requestOne: 1 << 3,
  fastZero: 1 << 4,
  payloadLength: 1 << 5,
} as const;

export const Chunk = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  blockStatusExtended: 6,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** The one flag of a reply chunk: no other follows for this request. */
export const CHUNK_DONE = 1;

/** Flags of an extent in the context `base:allocation`. */
export const AllocationFlag = { hole: 1, zero: 2 } as const;

export const REQUEST_BYTES = 28;
export const EXTENDED_REQUEST_BYTES = 32;
export const SIMPLE_REPLY_BYTES = 16;
export const STRUCTURED_REPLY_BYTES = 20;
export const EXTENDED_REPLY_BYTES = 32;
export const OPTION_HEADER_BYTES = 16;

/** Longest string of the protocol: export names, descriptions, context names. */
export const STRING_BYTES_MAX = 4096;
/** Longest payload of a read or write: what every client may assume when no sizes were negotiated. */
export const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;
/** Most extents that a reply to BLOCK_STATUS may hold. */
export const EXTENTS_MAX = 2 ** 20;
/** A context name takes 4 bytes of length; sixteen of the longest with an export's name fit in this. */
export const OPTION_DATA_BYTES_MAX = 72 * 1024;
/** Option data beyond the limit is skipped and refused, but not without end. */
export const OPTION_SKIP_BYTES_MAX = 1024 * 1024;
/** Queries of one LIST_ or SET_META_CONTEXT. */
export const META_QUERIES_MAX = 1024;
/** Contexts that may be in force at once: each costs a lookup for every BLOCK_STATUS. */
export const META_CONTEXTS_MAX = 64;
