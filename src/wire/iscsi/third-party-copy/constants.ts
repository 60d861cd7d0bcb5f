/**
 * Numbers of third-party copy (SPC-4, 6.3 to 6.5 and 6.18 to 6.27; SBC-3, 5.30 and 5.50).
 * Always holds: a name here is the standard's, a value is what stands on the wire.
 */

export const THIRD_PARTY_COPY_OUT = 0x83;
export const THIRD_PARTY_COPY_IN = 0x84;

/** Service actions of opcode 83h. */
export const CopyOut = {
  extendedCopyLid1: 0x00,
  extendedCopyLid4: 0x01,
  populateToken: 0x10,
  writeUsingToken: 0x11,
  copyOperationAbort: 0x1c,
} as const;

/** Service actions of opcode 84h. */
export const CopyIn = {
  receiveCopyStatusLid1: 0x00,
  receiveCopyOperatingParameters: 0x03,
  receiveFailedSegmentDetails: 0x04,
  receiveCopyStatusLid4: 0x05,
  receiveRodTokenInformation: 0x07,
  reportAllRodTokens: 0x08,
} as const;

/** COPY OPERATION STATUS. */
export const OperationStatus = {
  good: 0x01,
  error: 0x02,
  /**
   * Good, and the token stands for less than was asked, or a part of its data was not used. Never 04h, "residual data":
   * initiators do not know it (docs/decisions/short-token-status.md).
   */
  partialTokenUse: 0x03,
  inProgress: 0x10,
  inForeground: 0x11,
  inBackground: 0x12,
  terminated: 0x60,
} as const;

export const RodType = {
  any: 0x00000000,
  onReference: 0x00010000,
  pointInTime: 0x00800000,
  changeVulnerable: 0x00800001,
  persistent: 0x00800002,
  anyPointInTime: 0x0080ffff,
  zero: 0xffff0001,
} as const;

export const ROD_TOKEN_BYTES = 512;
/** What the length field of a ROD token says: the bytes behind it. */
export const ROD_TOKEN_LENGTH_FIELD = 0x01f8;

export const CSCD_BYTES = 32;
/** CSCD descriptor type: identification. */
export const CSCD_IDENTIFICATION = 0xe4;
/** CSCD id of the logical unit that the command was sent to. */
export const CSCD_OWN_UNIT = 0xffff;

export const SegmentType = {
  blockToBlock: 0x02,
  blockToBlockWithOffset: 0x0a,
} as const;

/** Transfer count in logical blocks. */
export const COUNT_UNITS_BLOCKS = 0xf1;
