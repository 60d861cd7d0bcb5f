/**
 * Copies by token, as devices offer them: what a token read and a token write ask for and answer (T1 to T5, T7, T17).
 *
 * Always holds: offsets and lengths are bytes; a read's tokens together stand for the first `lengthBytes` of the
 * request's ranges taken one behind the other; an operation that did less than asked says how much, and the caller
 * goes on from there. Errors: the TOKEN_ codes of the catalogue; UNSUPPORTED says that plain copying is the way.
 */

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * What a change of the data does to a token: `preserve` keeps what was bound, `invalidate` ends the token,
 * `reference` lets the token follow. A provider that cannot keep to it refuses (T7).
 */
export type ChangePolicy = "preserve" | "invalidate" | "reference";

/** Which of several providers in a stack serves (T17): the first one behind `skip` others, from the outside in, or the one of that id. */
export type ProviderChoice = { readonly skip: number } | { readonly id: string };

export interface OffloadReadRequest {
  readonly ranges: readonly ByteRange[];
  readonly policy: ChangePolicy;
  /** The token ends so long after it was made. */
  readonly ttlMs: number;
  /** It ends earlier when it is not used for so long; 0: only by its time to live. */
  readonly inactivityMs: number;
  /** It outlives a restart. */
  readonly persistent: boolean;
  readonly deleteOnUse: boolean;
  /** Under pressure lower ones go first (T11). */
  readonly priority: number;
  readonly provider: ProviderChoice;
  /** Asks a second provider for checksums of the data (T24). */
  readonly withChecksums: boolean;
  /**
   * `pin`, also when absent: the data is kept. `hash`: the token carries hashes of the data's blocks and nothing is kept
   * for it; a block that has changed is noticed when the token is used (T23).
   */
  readonly kind?: "pin" | "hash";
  /** Who asks, for the token's facts: an initiator's name, `api`, … */
  readonly creator: string;
  /** Nobody can listen on the channel on which it is handed out: TLS, loopback or a Unix socket (T14). */
  readonly isProtected: boolean;
  /**
   * One token is to stand for all of the data, as whoever asks takes no more: it joins what would be several. Several
   * may still come as alternatives.
   */
  readonly joiner?: TokenJoiner | undefined;
}

/** Several tokens that are to be one. */
export interface JoinedParts {
  /** Of the parts; they go over to the joiner for good, also when it fails. */
  readonly tokens: readonly Uint8Array[];
  /** The data in order: the part that the next bytes come from, and how many. The bytes of a part are taken in order. */
  readonly pieces: readonly { readonly part: number; readonly lengthBytes: number }[];
}

export interface TokenJoiner {
  /** One token as `request` asks for, for the parts' data. TOKEN_UNSUPPORTED, and what ended a part */
  join(parts: JoinedParts, request: OffloadReadRequest): Promise<OffloadReadResult>;
  /** Nobody was told of these. */
  discard(tokens: readonly Uint8Array[]): void;
}

/** A token and the part of the request's data (ranges one behind the other) that it stands for. */
export interface OffloadToken {
  readonly token: Uint8Array;
  /** Where in the request's data the token's first byte is. */
  readonly dataOffsetBytes: number;
  readonly lengthBytes: number;
  /** Several tokens for the same data are alternatives: any one of them suffices. `companion`: belongs to one of them. */
  readonly role: "primary" | "companion";
}

export interface OffloadReadResult {
  readonly tokens: readonly OffloadToken[];
  /** How much of the request's data the tokens stand for, from its start on. */
  readonly lengthBytes: number;
}

export interface OffloadWriteRequest {
  /** Alternatives for the same data, the preferred one first; companions beside them. Each 512 bytes. */
  readonly tokens: readonly Uint8Array[];
  /** Beside `tokens`: what the requestor knows to be companions. Those of one's own are recognised among `tokens` too. */
  readonly companions?: readonly Uint8Array[];
  /** Where in the token's data to begin. */
  readonly tokenOffsetBytes: number;
  readonly ranges: readonly ByteRange[];
  /** Durable before it completes. */
  readonly fua: boolean;
  readonly isProtected: boolean;
  /** More of the same request follows from the same tokens: one of a single use does not end with this part. */
  readonly isPart?: boolean;
  /** Ends it early; what was written stays. */
  readonly signal?: AbortSignal;
}

export interface OffloadWriteResult {
  /** How much of the ranges was written, from their start on. */
  readonly lengthBytes: number;
  /** Bytes of data that were read and written for it; 0 when only references were made. */
  readonly movedBytes: number;
}

export interface DeviceOffload {
  /** Ids of the providers below, from the outside in. */
  readonly providers: readonly string[];
  read(request: OffloadReadRequest): Promise<OffloadReadResult>;
  write(request: OffloadWriteRequest): Promise<OffloadWriteResult>;
}
