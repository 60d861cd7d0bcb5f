/**
 * The CDBs of third-party copy (SPC-4, 6.3 to 6.27; SBC-3, 5.30 and 5.50): opcodes 83h and 84h, 16 bytes.
 *
 * Always holds: a CDB that is shorter counts as filled up with zeros, so that every field is there.
 *
 * | command                             | list identifier | length                      |
 * | ----------------------------------- | --------------- | --------------------------- |
 * | EXTENDED COPY                       | in the list     | 10–13: parameter list       |
 * | POPULATE TOKEN, WRITE USING TOKEN   | 6–9             | 10–13: parameter list       |
 * | COPY OPERATION ABORT                | 2–5             |                             |
 * | 84h with a LID1 list                | 2               | 10–13: allocation           |
 * | 84h with a LID4 list                | 2–5             | 10–13: allocation           |
 */
import type { SupportedCommand } from "../scsi/supported-command.ts";
import { CopyIn, CopyOut, THIRD_PARTY_COPY_IN, THIRD_PARTY_COPY_OUT } from "./constants.ts";

const CDB_BYTES = 16;

export interface CopyCommand {
  readonly opcode: number;
  readonly serviceAction: number;
  /** 0 where the command has none in its CDB. */
  readonly listId: number;
  /** Of the parameter list, or the allocation length. */
  readonly lengthBytes: number;
}

export function parseCopyCommand(cdb: Uint8Array): CopyCommand {
  const bytes = new Uint8Array(CDB_BYTES);
  bytes.set(cdb.subarray(0, CDB_BYTES));
  const view = new DataView(bytes.buffer);
  const opcode = view.getUint8(0);
  const serviceAction = view.getUint8(1) & 0x1f;
  return {
    opcode,
    serviceAction,
    listId: listIdOf(view, opcode, serviceAction),
    lengthBytes: view.getUint32(10),
  };
}

function listIdOf(view: DataView, opcode: number, serviceAction: number): number {
  if (opcode === THIRD_PARTY_COPY_OUT) {
    if (serviceAction === CopyOut.copyOperationAbort) return view.getUint32(2);
    const hasList = serviceAction === CopyOut.populateToken || serviceAction === CopyOut.writeUsingToken;
    return hasList ? view.getUint32(6) : 0;
  }
  const isLid4 =
    serviceAction === CopyIn.receiveCopyStatusLid4 || serviceAction === CopyIn.receiveRodTokenInformation;
  return isLid4 ? view.getUint32(2) : view.getUint8(2);
}

/** Bytes of a CDB that are looked at, from byte 2 on; the control byte is. */
const usages: Record<string, string> = {
  extendedCopy: "00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  token: "00 00 00 00 ff ff ff ff ff ff ff ff 3f 00",
  abort: "ff ff ff ff 00 00 00 00 00 00 00 00 00 00",
  lid1: "ff 00 00 00 00 00 00 00 ff ff ff ff 00 00",
  lid4: "ff ff ff ff 00 00 00 00 ff ff ff ff 00 00",
  plain: "00 00 00 00 00 00 00 00 ff ff ff ff 00 00",
};

function supported(opcode: number, serviceAction: number, kind: keyof typeof usages): SupportedCommand {
  const rest = (usages[kind] as string).split(" ").map((byte) => Number.parseInt(byte, 16));
  return { opcode, serviceAction, usage: Uint8Array.from([opcode, serviceAction, ...rest]) };
}

/** All that are known here, for REPORT SUPPORTED OPERATION CODES. */
export const COPY_COMMANDS: readonly SupportedCommand[] = [
  supported(THIRD_PARTY_COPY_OUT, CopyOut.extendedCopyLid1, "extendedCopy"),
  supported(THIRD_PARTY_COPY_OUT, CopyOut.extendedCopyLid4, "extendedCopy"),
  supported(THIRD_PARTY_COPY_OUT, CopyOut.populateToken, "token"),
  { ...supported(THIRD_PARTY_COPY_OUT, CopyOut.writeUsingToken, "token"), changesMedium: true },
  supported(THIRD_PARTY_COPY_OUT, CopyOut.copyOperationAbort, "abort"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.receiveCopyStatusLid1, "lid1"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.receiveCopyOperatingParameters, "lid1"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.receiveFailedSegmentDetails, "lid1"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.receiveCopyStatusLid4, "lid4"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.receiveRodTokenInformation, "lid4"),
  supported(THIRD_PARTY_COPY_IN, CopyIn.reportAllRodTokens, "plain"),
];
