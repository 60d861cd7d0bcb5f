/**
 * The limits of the copy manager, which VPD page 8Fh tells initiators.
 * Always holds: whole numbers; what can be set can be set for a test too.
 */

export interface CopyLimits {
  /** Ranges of one POPULATE TOKEN or WRITE USING TOKEN. */
  readonly rangesMax: number;
  /** Of one token or one write with it, all ranges together. */
  readonly tokenBlocksMax: number;
  readonly tokenBlocksOptimal: number;
  /** A token that is not used for so long ends; 0 in a command means the default. */
  readonly inactivitySecondsDefault: number;
  readonly inactivitySecondsMax: number;
  /** A token ends so long after it was made, used or not. */
  readonly tokenSecondsMax: number;
  /** A token command that is not IMMED ends within this time; initiators give up after 4 s. */
  readonly commandMsMax: number;
  /** Written in one request to the device, so that a deadline or an abort is seen soon. */
  readonly pieceBytesMax: number;
  /** Of all nexuses. */
  readonly concurrentCopiesMax: number;
  /** Results that are kept for one nexus; the oldest goes first. */
  readonly resultsPerNexusMax: number;
  /** Nexuses for which results are kept; the one that copied first goes first. */
  readonly nexusesMax: number;
  readonly resultMsMax: number;
  readonly cscdsMax: number;
  readonly segmentsMax: number;
  readonly segmentBytesMax: number;
  /** Tokens in an answer of REPORT ALL ROD TOKENS. */
  readonly reportedTokensMax: number;
}

const MIB = 2 ** 20;

export const COPY_LIMITS: CopyLimits = {
  rangesMax: 1024,
  tokenBlocksMax: 2 ** 31,
  tokenBlocksOptimal: 2 ** 23,
  inactivitySecondsDefault: 1_200,
  inactivitySecondsMax: 86_400,
  tokenSecondsMax: 86_400,
  commandMsMax: 3_000,
  pieceBytesMax: 1024 * MIB,
  concurrentCopiesMax: 256,
  resultsPerNexusMax: 128,
  nexusesMax: 1_024,
  resultMsMax: 3_600_000,
  cscdsMax: 64,
  segmentsMax: 256,
  segmentBytesMax: 256 * MIB,
  reportedTokensMax: 1_024,
};

/** Longest parameter list that is taken; more than any list within the other limits needs. */
export const PARAMETER_LIST_BYTES_MAX = 128 * 1024;

/** What IMMED and other long operations tell about when to ask again. */
export const STATUS_DELAY_MS = 500;
