/** The limits and the numbers of the protocol of file replication (docs/formats/filesync-protocol.md). */

export const PROTOCOL_VERSION = 2;

/** Names that begin so are Ropewalk's own: temporary files, the trash. They are never replicated, reported or counted. */
export const OWN_PREFIX = ".ropewalk-";
export const TRASH_NAME = ".ropewalk-trash";

/** Payload of one frame. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Payload of one frame before HELLO is done. */
export const FRAME_BYTES_MAX_BEFORE_HELLO = 64 * 1024;
/** A reply may come in several frames; this many at most of the largest size. */
export const REPLY_FRAMES_MAX = 64;
/** What a writer of bundles takes at most. */
export const BUNDLE_BYTES_MAX = 4 * 1024 * 1024;
export const BUNDLE_OPERATIONS_MAX = 65_536;

export const PATH_BYTES_MAX = 4096;
export const NAME_BYTES_MAX = 255;
/** The target of a symbolic link; Linux takes no longer one. */
export const LINK_TARGET_BYTES_MAX = 4095;
/** Pieces of one file's content that an operation carries. */
export const EXTENTS_MAX = 4096;

export const EXTENDED_NAMES_MAX = 256;
export const EXTENDED_VALUE_BYTES_MAX = 64 * 1024;
/** All extended attributes of one file, packed. */
export const EXTENDED_BYTES_MAX = 1024 * 1024;

/** Paths of one SCAN or STAT: with all of them as long as they may be, the request still fits a frame. */
export const PATHS_MAX = 1024;
/** Failures that one reply names; the others are left out. */
export const FAILURES_MAX = 65_536;
export const EXCLUDES_MAX = 256;
export const EXCLUDE_BYTES_MAX = 1024;
export const HASH_BYTES = 16;
/** Blocks of one HASHES. */
export const HASH_BLOCKS_MAX = 65_536;
export const HASH_BLOCK_BYTES_MIN = 512;
export const HASH_BLOCK_BYTES_MAX = 16 * 1024 * 1024;

/** What file systems cut times to, in nanoseconds: ext4; NTFS; microseconds; exFAT; ext3 and HFS+; FAT. */
export const TIME_STEPS: readonly number[] = [1, 100, 1000, 10_000_000, 1_000_000_000, 2_000_000_000];

export const CONNECTIONS_MAX = 16;
export const SYNCHRONIZATION_ID_BYTES = 16;
export const NONCE_BYTES = 32;
export const MAC_BYTES = 32;
export const HOST_BYTES_MAX = 255;
export const SENTENCE_BYTES_MAX = 4096;

export const FrameType = {
  hello: 1,
  keepAlive: 2,
  apply: 3,
  begin: 4,
  write: 5,
  keep: 6,
  commit: 7,
  abort: 8,
  hashes: 9,
  scan: 10,
  stat: 11,
  sync: 12,
  free: 13,
  ok: 128,
  error: 129,
} as const;
