/** The front end's limits. Each can be set; what a connection meets at a limit is said beside it. */

export interface NbdLimits {
  /** Connections at once; one more is closed before the greeting. */
  readonly connectionsMax: number;
  /** Options in one handshake; one more ends the connection. */
  readonly optionsMax: number;
  /** From connecting to the first request, with waiting for the client; then the connection is closed. */
  readonly handshakeTimeoutMs: number;
  /** In each such period the rest of a payload, or 64 KiB of it, must arrive; else the connection is closed. */
  readonly payloadTimeoutMs: number;
  /** A client that takes no replies for so long is closed when it is leaving. */
  readonly replyTimeoutMs: number;
  /** One that goes on with neither a payload nor its replies for so long, while others wait for memory, gets no more. */
  readonly wantedStallTimeoutMs: number;
  /** If it then still holds memory, and more of it than any other that stalls, it is closed. */
  readonly wantedCloseTimeoutMs: number;
  /** Requests that one connection may have in work; then it is read no further until one is done. */
  readonly requestsMax: number;
  /** Replies that wait for the client; beyond it the connection is read no further. */
  readonly replyBytesMax: number;
  /** Bytes of reads and writes in work of one connection; then it is read no further. */
  readonly connectionBytesMax: number;
  /** The same of all connections together. An eighth of it is kept for those that have little in work. */
  readonly totalBytesMax: number;
}

export const DEFAULT_NBD_LIMITS: NbdLimits = {
  connectionsMax: 4096,
  optionsMax: 512,
  handshakeTimeoutMs: 30_000,
  payloadTimeoutMs: 30_000,
  replyTimeoutMs: 30_000,
  wantedStallTimeoutMs: 200,
  wantedCloseTimeoutMs: 500,
  requestsMax: 4096,
  replyBytesMax: 4 * 1024 * 1024,
  connectionBytesMax: 64 * 1024 * 1024,
  totalBytesMax: 128 * 1024 * 1024,
};

/** Progress that a payload must make in one period of `payloadTimeoutMs`, or of those that count while memory is wanted. */
export const PAYLOAD_PROGRESS_BYTES = 64 * 1024;
