/**
 * A command that ends with a check condition, thrown from wherever that turns out; the unit makes the status of it.
 *
 * Always holds: carries the sense data whole, so that the format can be chosen where the reply is made.
 */

import { type FieldPointer, type SenseData, type SenseDetails, SenseKey } from "./sense.ts";

export class CheckCondition extends Error {
  readonly sense: SenseData;

  constructor(key: number, asc: number, ascq: number, details?: SenseDetails) {
    super(`Sense ${key.toString(16)}/${asc.toString(16)}/${ascq.toString(16)}`);
    this.name = "CheckCondition";
    this.sense = { ...details, key, asc, ascq };
  }
}

/** INVALID FIELD IN CDB, at a byte of it and the field's highest bit. */
export function invalidCdbField(byte: number, bit?: number): CheckCondition {
  return illegal(0x24, 0x00, { byte, ...(bit === undefined ? {} : { bit }) });
}

/** INVALID FIELD IN PARAMETER LIST. */
export function invalidParameter(byte: number, bit?: number): CheckCondition {
  return illegal(0x26, 0x00, { byte, isInParameterList: true, ...(bit === undefined ? {} : { bit }) });
}

/** PARAMETER LIST LENGTH ERROR. */
export function parameterListLength(): CheckCondition {
  return illegal(0x1a, 0x00);
}

/** LOGICAL BLOCK ADDRESS OUT OF RANGE; the information field names the first block beyond. */
export function blockOutOfRange(lba?: number): CheckCondition {
  return new CheckCondition(
    SenseKey.illegalRequest,
    0x21,
    0x00,
    lba === undefined ? undefined : { information: lba },
  );
}

/** Any other ILLEGAL REQUEST. */
export function illegal(asc: number, ascq: number, fieldPointer?: FieldPointer): CheckCondition {
  return new CheckCondition(SenseKey.illegalRequest, asc, ascq, fieldPointer && { fieldPointer });
}
