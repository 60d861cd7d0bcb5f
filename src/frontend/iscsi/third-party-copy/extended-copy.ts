/**
 * EXTENDED COPY (SPC-4, 6.4 and 6.5): segments of blocks between units of this daemon, by tokens where both can.
 *
 * Always holds: segments run in their order, and the first that fails ends the copy; a unit is only reached through
 * `findUnit`, which knows what the initiator may use. Errors: COPY ABORTED 08h/04h (no such index), 0Dh/02h (no such
 * unit), 0Dh/03h (not of that kind), 00h/00h (past the end), 26h/0Ah (not whole blocks).
 */
import { asRopewalkError, type ErrorCode } from "../../../base/errors.ts";
import {
  type CopySegment,
  CSCD_OWN_UNIT,
  type ExtendedCopyParameters,
  OperationStatus,
} from "../../../wire/iscsi/third-party-copy/mod.ts";
import type { ScsiCommand, ScsiNexus } from "../scsi-target.ts";
import type { CopyUnit } from "../unit/third-party-copy.ts";
import { isSameDesignator } from "./copy-designator.ts";
import type { CopyLimits } from "./copy-limits.ts";
import type { CopyOperation } from "./copy-operation.ts";
import { copyAborted, copyTerminated } from "./copy-sense.ts";
import { type CopyTokens, tokenCreator } from "./copy-tokens.ts";
import { copyPlainly } from "./plain-copy.ts";

/** The unit of that designation descriptor, when the nexus may use it. */
export type FindUnit = (designator: Uint8Array, nexus: ScsiNexus) => CopyUnit | undefined;

export interface ExtendedCopyContext {
  readonly operation: CopyOperation;
  readonly command: ScsiCommand;
  readonly limits: CopyLimits;
  readonly tokens: CopyTokens;
  readonly findUnit: FindUnit;
}

export async function extendedCopy(
  parameters: ExtendedCopyParameters,
  context: ExtendedCopyContext,
): Promise<number> {
  const { operation } = context;
  for (const segment of parameters.segments) {
    if (operation.signal.aborted) throw copyTerminated();
    const extent = extentOf(segment, parameters, context);
    await copyExtent(extent, context);
    operation.transferBlocks += Math.floor(extent.lengthBytes / extent.destination.blockBytes);
    operation.segmentsProcessed++;
    operation.advance();
  }
  return OperationStatus.good;
}

/** A segment, resolved and checked: bytes between devices. */
interface CopyExtent {
  readonly source: CopyUnit;
  readonly sourceOffsetBytes: number;
  readonly destination: CopyUnit;
  readonly destinationOffsetBytes: number;
  readonly lengthBytes: number;
}

function extentOf(
  segment: CopySegment,
  parameters: ExtendedCopyParameters,
  context: ExtendedCopyContext,
): CopyExtent {
  const source = unitAt(segment.source, parameters, context);
  const destination = unitAt(segment.destination, parameters, context);
  source.checkReadable(context.command);
  destination.checkWritable(context.command);
  let sourceOffsetBytes = segment.sourceLba * source.blockBytes;
  let destinationOffsetBytes = segment.destinationLba * destination.blockBytes;
  let lengthBytes: number;
  if (segment.kind === "blocks") {
    const countedIn = segment.countedIn === "source" ? source : destination;
    const other = segment.countedIn === "source" ? destination : source;
    lengthBytes = segment.blocks * countedIn.blockBytes;
    if (lengthBytes % other.blockBytes !== 0) throw copyAborted(0x26, 0x0a);
  } else {
    lengthBytes = segment.lengthBytes;
    sourceOffsetBytes += segment.sourceOffsetBytes;
    destinationOffsetBytes += segment.destinationOffsetBytes;
  }
  if (lengthBytes > context.limits.segmentBytesMax) throw copyAborted(0x26, 0x00);
  checkExtent(source, sourceOffsetBytes, lengthBytes);
  checkExtent(destination, destinationOffsetBytes, lengthBytes);
  return { source, sourceOffsetBytes, destination, destinationOffsetBytes, lengthBytes };
}

function checkExtent(unit: CopyUnit, offsetBytes: number, lengthBytes: number): void {
  if (offsetBytes + lengthBytes > unit.capacityBlocks * unit.blockBytes) throw copyAborted(0x00, 0x00);
  const { minimumBlockBytes } = unit.device.geometry;
  if (offsetBytes % minimumBlockBytes !== 0 || lengthBytes % minimumBlockBytes !== 0)
    throw copyAborted(0x26, 0x0a);
}

const DISK = 0x00;

function unitAt(
  index: number,
  { ends }: ExtendedCopyParameters,
  { operation, command, findUnit }: ExtendedCopyContext,
): CopyUnit {
  if (index === CSCD_OWN_UNIT) return operation.unit;
  const end = ends[index];
  if (end === undefined) throw copyAborted(0x08, 0x04);
  const isOwn = operation.unit.designators.some((own) => isSameDesignator(own, end.designator));
  const unit = isOwn ? operation.unit : findUnit(end.designator, command.nexus);
  if (unit === undefined) throw copyAborted(0x0d, 0x02);
  const isOfBlocks = end.blockBytes === 0 || end.blockBytes === unit.blockBytes;
  if (end.peripheralType !== DISK || !isOfBlocks) throw copyAborted(0x0d, 0x03);
  return unit;
}

async function copyExtent(extent: CopyExtent, context: ExtendedCopyContext): Promise<void> {
  if (extent.lengthBytes === 0) return;
  const { destination, destinationOffsetBytes, lengthBytes } = extent;
  await destination.change({ offsetBytes: destinationOffsetBytes, lengthBytes }, async () => {
    if (await copyByToken(extent, context)) return;
    await copyPlainly({
      ...extent,
      source: extent.source.device,
      destination: destination.device,
      signal: context.operation.signal,
    });
  });
}

/** A provider that says one of these has done nothing that plain copying would not do as well. */
const COPY_PLAINLY: ReadonlySet<ErrorCode> = new Set([
  "UNSUPPORTED",
  "TOO_MANY",
  "TOKEN_UNSUPPORTED",
  "TOKEN_UNKNOWN",
  "TOKEN_CANCELLED",
  "TOKEN_REVOKED",
  "TOKEN_EXPIRED",
  "TOKEN_CUT",
]);
/** The token is of no use behind the segment; should it be forgotten, it ends soon. */
const TOKEN_MS = 60_000;

/** False when it could not be done so, with nothing or a part written: plain copying then does all of it. */
async function copyByToken(extent: CopyExtent, context: ExtendedCopyContext): Promise<boolean> {
  const { operation, command, tokens } = context;
  const { nexus } = command;
  const from = extent.source.device.offload;
  const to = extent.destination.device.offload;
  if (from === undefined || to === undefined) return false;
  const { lengthBytes } = extent;
  let token: Uint8Array | undefined;
  try {
    const made = await from.read({
      ranges: [{ offsetBytes: extent.sourceOffsetBytes, lengthBytes }],
      policy: "preserve",
      ttlMs: TOKEN_MS,
      inactivityMs: 0,
      persistent: false,
      deleteOnUse: false,
      priority: 0,
      provider: tokens.chooseProvider(from.providers),
      withChecksums: false,
      creator: tokenCreator(nexus),
      isProtected: nexus.isProtected,
      joiner: tokens.joiner,
    });
    token = made.tokens[0]?.token;
    if (token === undefined || made.tokens.length > 1 || made.lengthBytes < lengthBytes) return false;
    for (let doneBytes = 0; doneBytes < lengthBytes; ) {
      if (operation.signal.aborted) throw copyTerminated();
      const result = await to.write({
        tokens: [token],
        tokenOffsetBytes: doneBytes,
        ranges: [
          {
            offsetBytes: extent.destinationOffsetBytes + doneBytes,
            lengthBytes: lengthBytes - doneBytes,
          },
        ],
        fua: false,
        isProtected: nexus.isProtected,
        signal: operation.signal,
      });
      if (result.lengthBytes === 0) return false;
      doneBytes += result.lengthBytes;
    }
    return true;
  } catch (error) {
    if (COPY_PLAINLY.has(asRopewalkError(error).code)) return false;
    throw error;
  } finally {
    if (token !== undefined) await tokens.revoke(token, { strength: "mandatory" }).catch(() => undefined);
  }
}
