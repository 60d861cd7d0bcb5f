/**
 * What REPORT SUPPORTED OPERATION CODES (SPC-4, 6.35) says of one command.
 *
 * Always holds: `usage` is as long as the command's CDB; its first byte is the opcode, a set bit elsewhere means
 * that the unit looks at that bit, and the service action stands in it as its value.
 */

export interface SupportedCommand {
  readonly opcode: number;
  /** Undefined for commands that have none. */
  readonly serviceAction?: number;
  /** The CDB usage data. */
  readonly usage: Uint8Array;
  /** Whether the command changes the medium: what a write-protected unit refuses. */
  readonly changesMedium?: boolean;
}
