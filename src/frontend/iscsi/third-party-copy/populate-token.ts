/**
 * POPULATE TOKEN (SBC-3, 5.30): a token for the data of ranges, as it is now.
 *
 * Always holds: the transfer count never exceeds what was asked nor what the token stands for; when it is less, the
 * status says so, and the initiator goes on from there (docs/decisions/short-token-status.md). Errors: as `copySense` maps them.
 */
import { assert } from "../../../base/assert.ts";
import { RopewalkError } from "../../../base/errors.ts";
import type { ChangePolicy, OffloadReadResult, OffloadToken } from "../../../device/mod.ts";
import { illegal, invalidParameter } from "../../../wire/iscsi/scsi/mod.ts";
import {
  OperationStatus,
  type PopulateTokenParameters,
  ROD_TOKEN_BYTES,
  RodType,
} from "../../../wire/iscsi/third-party-copy/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";
import type { CopyLimits } from "./copy-limits.ts";
import type { CopyOperation } from "./copy-operation.ts";
import { copyTerminated } from "./copy-sense.ts";
import { type CopyTokens, tokenCreator } from "./copy-tokens.ts";

/** What a ROD type asks for. */
interface RodPolicy {
  readonly policy: ChangePolicy;
  readonly persistent: boolean;
}

const PRESERVE: RodPolicy = { policy: "preserve", persistent: false };
const POLICIES: Partial<Record<number, RodPolicy>> = {
  [RodType.any]: PRESERVE,
  [RodType.onReference]: { policy: "reference", persistent: false },
  [RodType.pointInTime]: PRESERVE,
  [RodType.changeVulnerable]: { policy: "invalidate", persistent: false },
  [RodType.persistent]: { policy: "preserve", persistent: true },
  [RodType.anyPointInTime]: PRESERVE,
};

const ROD_TYPE_AT = 8;
const INACTIVITY_AT = 4;

/** The ROD type that a token's facts amount to: the reverse of `POLICIES`. */
export function rodTypeOf(policy: ChangePolicy, persistent: boolean): number {
  if (policy === "reference") return RodType.onReference;
  if (policy === "invalidate") return RodType.changeVulnerable;
  return persistent ? RodType.persistent : RodType.pointInTime;
}

export interface PopulateTokenContext {
  readonly operation: CopyOperation;
  readonly nexus: ScsiNexus;
  readonly limits: CopyLimits;
  readonly tokens: CopyTokens;
}

/** Throws what is wrong with the parameters beyond their form; before the command is answered. */
export function checkPopulateToken(parameters: PopulateTokenParameters, limits: CopyLimits): void {
  if (parameters.inactivitySeconds > limits.inactivitySecondsMax) throw invalidParameter(INACTIVITY_AT);
  if (POLICIES[parameters.rodType ?? RodType.any] === undefined) throw invalidParameter(ROD_TYPE_AT);
}

/** Leaves token and count in the operation; resolves with its final status. */
export async function populateToken(
  parameters: PopulateTokenParameters,
  context: PopulateTokenContext,
): Promise<number> {
  const { operation, limits, nexus } = context;
  const { unit } = operation;
  const { blockBytes } = unit;
  const askedBlocks = parameters.ranges.reduce((sum, range) => sum + range.blocks, 0);
  if (askedBlocks === 0) return OperationStatus.good;
  const offload = unit.device.offload;
  if (offload === undefined)
    throw new RopewalkError("UNSUPPORTED", "the device makes no tokens; copy plainly");
  const rodPolicy = POLICIES[parameters.rodType ?? RodType.any];
  assert(rodPolicy !== undefined, "the ROD type was checked");
  const inactivitySeconds = parameters.inactivitySeconds || limits.inactivitySecondsDefault;
  const result = await offload.read({
    ranges: parameters.ranges.map(({ lba, blocks }) => ({
      offsetBytes: lba * blockBytes,
      lengthBytes: blocks * blockBytes,
    })),
    ...rodPolicy,
    ttlMs: limits.tokenSecondsMax * 1_000,
    inactivityMs: inactivitySeconds * 1_000,
    deleteOnUse: false,
    priority: 0,
    provider: context.tokens.chooseProvider(offload.providers),
    withChecksums: false,
    creator: tokenCreator(nexus),
    isProtected: nexus.isProtected,
    // SCSI hands out one token, also for what is on several members.
    joiner: context.tokens.joiner,
  });
  const first = firstToken(result);
  giveUp(
    context.tokens,
    result.tokens.filter((token) => token !== first),
  );
  const blocks = Math.min(askedBlocks, Math.floor((first?.lengthBytes ?? 0) / blockBytes));
  if (first === undefined || blocks === 0 || operation.signal.aborted) {
    giveUp(
      context.tokens,
      result.tokens.filter((token) => token === first),
    );
    if (operation.signal.aborted) throw copyTerminated();
    // INSUFFICIENT RESOURCES TO CREATE ROD: no token for as much as one block.
    throw illegal(0x55, 0x0c);
  }
  operation.token = first.token;
  operation.transferBlocks = blocks;
  operation.advance();
  return blocks === askedBlocks ? OperationStatus.good : OperationStatus.partialTokenUse;
}

/** SCSI hands out one token: the one for the beginning of the data, of alternatives the first. */
function firstToken(result: OffloadReadResult): OffloadToken | undefined {
  const first = result.tokens.find((token) => token.role === "primary" && token.dataOffsetBytes === 0);
  assert(first === undefined || first.token.length === ROD_TOKEN_BYTES, "a token is 512 bytes");
  return first;
}

/** Tokens that nobody will be told of hold space in vain. */
function giveUp(tokens: CopyTokens, unused: readonly OffloadToken[]): void {
  for (const { token } of unused) void tokens.revoke(token, { strength: "mandatory" }).catch(() => undefined);
}
