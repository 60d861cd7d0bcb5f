/**
 * The one catalogue of operational errors: what went wrong, said the same way at every front end.
 *
 * Always holds: a code is never renamed or reused; docs/errors.md lists exactly these codes (checked by
 * `npm run check`). Programmer's errors are assertions (`base/assert.ts`), never entries here.
 */

/** NBD error numbers that may stand on the wire (NBD proto.md, "Error values"). */
export const Errno = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

export interface ErrorEntry {
  /** HTTP status of the API's answer. */
  readonly http: number;
  /** NBD errno of the reply. */
  readonly errno: number;
  /** What the code means, for docs/errors.md and OpenAPI. */
  readonly meaning: string;
}

const entry = (http: number, errno: number, meaning: string): ErrorEntry => ({ http, errno, meaning });

export const ERROR_CATALOGUE = {
  INVALID_NAME: entry(400, Errno.EINVAL, "A name does not match [a-z0-9][a-z0-9._-]{0,62}."),
  INVALID_SIZE: entry(400, Errno.EINVAL, "A size is not a positive multiple of 512 bytes within the limit."),
  INVALID_RANGE: entry(
    400,
    Errno.EINVAL,
    "An offset or length is negative, misaligned or ends past the end.",
  ),
  INVALID_ARGUMENT: entry(400, Errno.EINVAL, "An argument is missing, malformed or out of its limits."),
  INVALID_CONFIG: entry(400, Errno.EINVAL, "The configuration file, a flag or a setting is not valid."),
  UNAUTHORIZED: entry(401, Errno.EPERM, "The admin key or a shared key is missing, unknown or wrong."),
  READ_ONLY: entry(403, Errno.EPERM, "The device is read-only: a snapshot, or opened so."),
  NOT_FOUND: entry(404, Errno.EINVAL, "There is no such route or object."),
  VOLUME_NOT_FOUND: entry(404, Errno.EINVAL, "There is no volume of this name."),
  SNAPSHOT_NOT_FOUND: entry(404, Errno.EINVAL, "There is no snapshot of this name on the volume."),
  CURSOR_NOT_FOUND: entry(404, Errno.EINVAL, "There is no cursor of this name."),
  PIN_NOT_FOUND: entry(404, Errno.EINVAL, "There is no pin of this number."),
  ALREADY_EXISTS: entry(409, Errno.EINVAL, "The name is taken."),
  IN_USE: entry(409, Errno.EPERM, "Clients are connected to the volume or snapshot."),
  HAS_SNAPSHOTS: entry(409, Errno.EPERM, "The volume still has snapshots; delete them first."),
  HAS_CLONES: entry(409, Errno.EPERM, "Clones were made of it; delete or detach them first."),
  PIN_DROPPED: entry(
    410,
    Errno.EINVAL,
    "The pool dropped the cursor's log to stay within its budget; use the difference.",
  ),
  BASE_LOST: entry(410, Errno.EINVAL, "The cursor's frozen map was dropped too; a full copy is needed."),
  TOO_LARGE: entry(413, Errno.EOVERFLOW, "A request is larger than the limit."),
  TOO_MANY: entry(429, Errno.ENOMEM, "A limit on a number of objects or connections is reached."),
  UNSUPPORTED: entry(501, Errno.ENOTSUP, "The device cannot do this operation in the way asked for."),
  NO_SPACE: entry(507, Errno.ENOSPC, "The pool is full; delete, trim, or grow it."),
  SHUTTING_DOWN: entry(503, Errno.ESHUTDOWN, "The server or pool is closing."),
  TIMEOUT: entry(504, Errno.EIO, "The operation did not finish in its time."),
  CANCELLED: entry(499, Errno.EIO, "The caller cancelled the operation."),
  CHECKSUM_MISMATCH: entry(
    500,
    Errno.EIO,
    "Stored bytes do not match their checksum; they are not returned.",
  ),
  IO_ERROR: entry(500, Errno.EIO, "The disk failed a call."),
  POOL_READ_ONLY: entry(
    503,
    Errno.EIO,
    "A write or sync of the log failed; the pool is read-only until it is reopened.",
  ),
  POOL_IN_USE: entry(500, Errno.EIO, "Another process has the data directory."),
  POOL_DAMAGED: entry(500, Errno.EIO, "The pool's own structures are damaged where they must not be."),
  POOL_NEWER: entry(500, Errno.EIO, "The pool was written by a newer version of the format."),
  DATA_DIRECTORY: entry(
    500,
    Errno.EIO,
    "The data directory cannot be used: not a directory, not writable, or no pool.",
  ),
  ADDRESS_IN_USE: entry(500, Errno.EIO, "An address to listen on is taken or not available."),
  INSECURE_ADDRESS: entry(500, Errno.EPERM, "An address that is not loopback needs TLS or --insecure."),
  PROTOCOL_ERROR: entry(400, Errno.EINVAL, "A peer sent bytes that the protocol does not allow."),
  TOKEN_UNKNOWN: entry(
    404,
    Errno.EINVAL,
    "The token does not verify, or nothing is known of it; copy plainly.",
  ),
  TOKEN_EXPIRED: entry(410, Errno.EINVAL, "The token's time is over; ask for a new one or copy plainly."),
  TOKEN_REVOKED: entry(410, Errno.EINVAL, "The token was revoked; ask for a new one or copy plainly."),
  TOKEN_CANCELLED: entry(
    410,
    Errno.EINVAL,
    "The token was given up under pressure or because its data changed; ask for a new one or copy plainly.",
  ),
  TOKEN_DELETED: entry(410, Errno.EINVAL, "The token's one use is over, or what it came from was deleted."),
  TOKEN_CUT: entry(409, Errno.EINVAL, "The token stands for less data than was asked for."),
  TOKEN_CHANNEL: entry(
    403,
    Errno.EPERM,
    "The token was issued on a protected channel and is not taken on one that is not.",
  ),
  TOKEN_UNSUPPORTED: entry(
    501,
    Errno.ENOTSUP,
    "The provider cannot keep to the policy or the kind of token asked for.",
  ),
  SOURCE_MISSING: entry(
    409,
    Errno.EIO,
    "The source directory is missing, no directory, empty where it was not, or another one than before; nothing is removed.",
  ),
  TARGET_IN_USE: entry(409, Errno.EPERM, "Another synchronization writes to this root."),
  MASS_DELETION: entry(
    409,
    Errno.EPERM,
    "More would be removed at the target than the guard allows; look, then allow it.",
  ),
  WATCH_LIMIT: entry(
    507,
    Errno.ENOMEM,
    "The kernel allows no more inotify watches or instances; raise fs.inotify.max_user_watches or max_user_instances.",
  ),
  PEER_VERSION: entry(502, Errno.ENOTSUP, "The peer speaks another version of the protocol."),
  PERMISSION_DENIED: entry(403, Errno.EPERM, "The operating system does not let this user do it."),
  UNREACHABLE: entry(502, Errno.EIO, "The daemon could not be reached."),
  INTERNAL: entry(500, Errno.EIO, "A defect of the program; the log has the details."),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** An operational error: a code from the catalogue and a sentence that says what happened and what to do. */
export class RopewalkError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, sentence: string, options?: { cause?: unknown }) {
    super(sentence, options);
    this.name = "RopewalkError";
    this.code = code;
  }

  get entry(): ErrorEntry {
    return ERROR_CATALOGUE[this.code];
  }
}

/** The error as a catalogued one; what is not catalogued becomes INTERNAL with its cause kept. */
export function asRopewalkError(error: unknown): RopewalkError {
  if (error instanceof RopewalkError) return error;
  const sentence = error instanceof Error ? error.message : String(error);
  return new RopewalkError("INTERNAL", sentence, { cause: error });
}
