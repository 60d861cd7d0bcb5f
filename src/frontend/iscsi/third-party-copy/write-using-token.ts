/**
 * WRITE USING TOKEN (SBC-3, 5.50): a token's data, or zeros, into ranges.
 *
 * Always holds: good means that every block was written, because initiators take it so; a token that is too short is
 * never filled up with zeros; the operation's count is of whole blocks, from the first range on.
 * Errors: as `copySense` maps them, and COPY ABORTED 0Dh/04h when less was written than asked.
 */
import { RopewalkError } from "../../../base/errors.ts";
import {
  type BlockRange,
  OperationStatus,
  type WriteUsingTokenParameters,
} from "../../../wire/iscsi/third-party-copy/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";
import type { CopyLimits } from "./copy-limits.ts";
import type { CopyOperation } from "./copy-operation.ts";
import { copyTerminated, dataUnderrun, tokenLength } from "./copy-sense.ts";
import type { CopyTokens } from "./copy-tokens.ts";

export interface WriteUsingTokenContext {
  readonly operation: CopyOperation;
  readonly nexus: ScsiNexus;
  readonly limits: CopyLimits;
  readonly tokens: CopyTokens;
  /** Raised when the command must be answered; never for IMMED. */
  readonly deadline: AbortSignal | undefined;
}

/** Resolves with the operation's final status. */
export async function writeUsingToken(
  parameters: WriteUsingTokenParameters,
  context: WriteUsingTokenContext,
): Promise<number> {
  const { operation, limits, tokens } = context;
  const { unit } = operation;
  const { blockBytes } = unit;
  const firstByte = parameters.offsetBlocks * blockBytes;
  if (parameters.ranges.length === 0) return OperationStatus.good;
  if (!Number.isSafeInteger(firstByte)) throw tokenLength();
  let writtenBytes = 0;
  for (const { lba, blocks } of joined(parameters.ranges)) {
    const rangeBytes = blocks * blockBytes;
    for (let at = 0; at < rangeBytes; ) {
      const piece = {
        offsetBytes: lba * blockBytes + at,
        lengthBytes: Math.min(rangeBytes - at, limits.pieceBytesMax),
      };
      const pieceBytes = await writePiece(piece, firstByte + writtenBytes, parameters.token, context);
      at += pieceBytes;
      writtenBytes += pieceBytes;
      operation.transferBlocks = Math.floor(writtenBytes / blockBytes);
      operation.advance();
    }
  }
  const isPart = leavesTokenData(firstByte, writtenBytes, parameters.token, context);
  if (parameters.deleteToken) await deleteToken(parameters.token, tokens);
  return isPart ? OperationStatus.partialTokenUse : OperationStatus.good;
}

/** Ranges that follow each other as one: initiators cut a long one by the longest transfer of the unit. */
function joined(ranges: readonly BlockRange[]): BlockRange[] {
  const result: BlockRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last.lba + last.blocks === range.lba)
      result[result.length - 1] = { lba: last.lba, blocks: last.blocks + range.blocks };
    else result.push(range);
  }
  return result;
}

/** Bytes written, at least one. */
async function writePiece(
  piece: { readonly offsetBytes: number; readonly lengthBytes: number },
  tokenOffsetBytes: number,
  token: Uint8Array,
  { operation, nexus, deadline }: WriteUsingTokenContext,
): Promise<number> {
  const { unit } = operation;
  const { offload } = unit.device;
  if (offload === undefined)
    throw new RopewalkError("UNSUPPORTED", "the device takes no tokens; copy plainly");
  const signal = deadline === undefined ? operation.signal : AbortSignal.any([operation.signal, deadline]);
  throwIfStopped(operation, deadline);
  let lengthBytes = 0;
  try {
    const result = await unit.change(piece, () =>
      offload.write({
        tokens: [token],
        tokenOffsetBytes,
        ranges: [piece],
        fua: false,
        isProtected: nexus.isProtected,
        signal,
      }),
    );
    lengthBytes = result.lengthBytes;
  } catch (error) {
    throwIfStopped(operation, deadline);
    if (!(error instanceof RopewalkError && error.code === "TOKEN_CUT")) throw error;
  }
  if (lengthBytes > 0) return lengthBytes;
  throwIfStopped(operation, deadline);
  // The token ends here.
  throw operation.transferBlocks > 0 ? dataUnderrun() : tokenLength();
}

function throwIfStopped(operation: CopyOperation, deadline: AbortSignal | undefined): void {
  if (operation.signal.aborted) throw copyTerminated();
  if (deadline?.aborted === true) throw dataUnderrun();
}

/** Every block is written by now: a token that has ended meanwhile does not make that untrue. */
function leavesTokenData(
  firstByte: number,
  writtenBytes: number,
  token: Uint8Array,
  { tokens, nexus }: WriteUsingTokenContext,
): boolean {
  try {
    const info = tokens.show(token, { isProtected: nexus.isProtected });
    return info.kind !== "zero" && (firstByte > 0 || writtenBytes < info.lengthBytes);
  } catch (error) {
    if (error instanceof RopewalkError) return false;
    throw error;
  }
}

/** DEL_TKN. One that has ended already, or is the well-known one of zeros, is left as it is. */
async function deleteToken(token: Uint8Array, tokens: CopyTokens): Promise<void> {
  try {
    await tokens.revoke(token, { strength: "mandatory", as: "deleted" });
  } catch (error) {
    if (!(error instanceof RopewalkError)) throw error;
  }
}
