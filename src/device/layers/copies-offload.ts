/**
 * Copies by token on the layer `copies`: reads give a token of each member that has the data, as alternatives; writes
 * go to every member.
 *
 * Always holds: alternatives stand for the same data, since nothing changes the ranges while they are made; a
 * member that wrote less than another, or could not use the token, is brought up to date by a resync; a token of one
 * use lasts until the last member (T10).
 * Errors: those of the members when none could; UNSUPPORTED when no single member has all of the ranges.
 */
import { RopewalkError } from "../../base/errors.ts";
import type {
  ByteRange,
  DeviceOffload,
  OffloadReadRequest,
  OffloadReadResult,
  OffloadToken,
  OffloadWriteRequest,
  OffloadWriteResult,
} from "../offload.ts";
import { combinedProviders } from "./combined.ts";
import type { CopiesGroup } from "./copies-group.ts";
import type { CopiesMember } from "./copies-member.ts";
import type { RangeGate } from "./range-gate.ts";
import { readTokenClaims } from "./token-claims.ts";

export class CopiesOffload implements DeviceOffload {
  readonly providers: readonly string[];
  readonly #group: CopiesGroup;
  readonly #gate: RangeGate;

  constructor(group: CopiesGroup, gate: RangeGate, offloads: readonly DeviceOffload[]) {
    this.#group = group;
    this.#gate = gate;
    this.providers = combinedProviders(offloads);
  }

  read(request: OffloadReadRequest): Promise<OffloadReadResult> {
    return this.#gate.during(request.ranges, "shared", async () => {
      const members = this.#group.members.filter((member) => member.isCurrent(request.ranges));
      if (members.length === 0)
        throw new RopewalkError("UNSUPPORTED", "No single copy has all of the ranges now; copy plainly.");
      const outcomes = await Promise.allSettled(
        members.map((member) => member.device.offload!.read(request)),
      );
      const results = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
      if (results.length === 0) throw (outcomes[0] as PromiseRejectedResult).reason;
      const lengthBytes = Math.min(...results.map((result) => result.lengthBytes));
      return { lengthBytes, tokens: results.flatMap(({ tokens }) => cutAt(lengthBytes, tokens)) };
    });
  }

  write(request: OffloadWriteRequest): Promise<OffloadWriteResult> {
    return this.#gate.during(request.ranges, "exclusive", async () => {
      const members = this.#group.members.filter(({ isIn }) => isIn);
      for (const member of this.#group.members) if (!member.isIn) member.miss(request.ranges);
      const outcomes = await writeAll(members, request);
      const written = new Map<CopiesMember, number>();
      const failures = new Map<CopiesMember, unknown>();
      let movedBytes = 0;
      for (const [index, outcome] of outcomes.entries()) {
        const member = members[index]!;
        if (outcome.status === "rejected") failures.set(member, outcome.reason);
        else {
          written.set(member, outcome.value.lengthBytes);
          movedBytes += outcome.value.movedBytes;
        }
      }
      return { lengthBytes: this.#judge(request.ranges, written, failures), movedBytes };
    });
  }

  /** The effective length. Whoever has less of it has missed the rest. */
  #judge(
    ranges: readonly ByteRange[],
    written: ReadonlyMap<CopiesMember, number>,
    failures: ReadonlyMap<CopiesMember, unknown>,
  ): number {
    const current = [...written].filter(([member]) => member.isCurrent(ranges));
    if (current.length === 0) {
      const [member, error] = [...failures].find(([failed]) => failed.isCurrent(ranges)) ?? [...failures][0]!;
      // A token that is not good, or no good here, was not begun with anywhere.
      const isUntouched = written.size === 0 && [...failures.values()].every(isRefusal);
      if (!isUntouched) {
        for (const other of this.#group.members) if (other !== member) other.miss(ranges);
        this.#group.changed(ranges);
        this.#group.kick();
      }
      throw error;
    }
    const lengthBytes = Math.max(...current.map(([, length]) => length));
    const faulty = new Map<CopiesMember, unknown>();
    for (const [member, error] of failures) {
      if (isTokenError(error)) member.miss(ranges);
      else faulty.set(member, error);
    }
    for (const [member, length] of written)
      if (length !== lengthBytes) member.miss(partBehind(ranges, length));
    this.#group.judge(ranges, faulty);
    this.#group.kick();
    return lengthBytes;
  }
}

/** All together, but for a token that may end with its use: then the last member comes behind the others, and ends it. */
async function writeAll(
  members: readonly CopiesMember[],
  request: OffloadWriteRequest,
): Promise<PromiseSettledResult<OffloadWriteResult>[]> {
  const write = (some: readonly CopiesMember[], part: Partial<OffloadWriteRequest> = {}) =>
    Promise.allSettled(some.map((member) => member.device.offload!.write({ ...request, ...part })));
  const lasts = request.tokens.every((token) => readTokenClaims(token)?.isOneUse === false);
  if (lasts || request.isPart === true) return await write(members);
  return [...(await write(members.slice(0, -1), { isPart: true })), ...(await write(members.slice(-1)))];
}

function cutAt(lengthBytes: number, tokens: readonly OffloadToken[]): OffloadToken[] {
  return tokens
    .filter(({ dataOffsetBytes }) => dataOffsetBytes < lengthBytes)
    .map((token) => ({
      ...token,
      lengthBytes: Math.min(token.lengthBytes, lengthBytes - token.dataOffsetBytes),
    }));
}

/** The ranges without their first `bytes` bytes. */
function partBehind(ranges: readonly ByteRange[], bytes: number): ByteRange[] {
  const rest: ByteRange[] = [];
  for (const { offsetBytes, lengthBytes } of ranges) {
    const skipped = Math.min(bytes, lengthBytes);
    bytes -= skipped;
    if (skipped < lengthBytes)
      rest.push({ offsetBytes: offsetBytes + skipped, lengthBytes: lengthBytes - skipped });
  }
  return rest;
}

/** The member is well; it only could not use the token. */
function isTokenError(error: unknown): boolean {
  if (!(error instanceof RopewalkError)) return false;
  return error.code.startsWith("TOKEN_") || ["UNSUPPORTED", "CANCELLED", "TOO_MANY"].includes(error.code);
}

/** Nothing was written. */
function isRefusal(error: unknown): boolean {
  const codes = ["TOKEN_UNKNOWN", "TOKEN_CHANNEL", "TOKEN_UNSUPPORTED", "UNSUPPORTED", "TOO_MANY"];
  return error instanceof RopewalkError && codes.includes(error.code);
}
