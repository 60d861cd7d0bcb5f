/**
 * Copies by token on a device that is made of others: a request's ranges are cut where the member changes, and each
 * run of pieces on one member is a request to it (T5, T18).
 *
 * Always holds: a token read answers with at least one token for each run; a token write goes run by run, so what it
 * says it wrote is written and nothing behind it was begun, except in the run that ended early. A request of more
 * runs than one operation takes has a shorter effective length (T3). A token of one use lasts until the last run (T10).
 * Who takes only one token gets one for each member, and the request's joiner makes one of them.
 * Errors: those of the first run; an error further on is a shorter effective length.
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
  TokenJoiner,
} from "../offload.ts";
import { combinedProviders } from "./combined.ts";
import { joinableParts } from "./joined-parts.ts";

/** Runs of one operation: each is a token of its own, and tokens are what a requestor carries about. */
const RUNS_MAX = 64;
/** Pieces of one run: what the shim lets through as ranges. */
const PIECES_MAX = 4096;

/** Pieces that a joined token is made of: each is remembered with the token. */
export const JOINED_PIECES_MAX = 16_384;

/** A part of a range, where one member has it. */
export interface Piece {
  readonly member: number;
  /** On the member. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface Run {
  readonly member: number;
  readonly dataOffsetBytes: number;
  readonly ranges: ByteRange[];
  lengthBytes: number;
}

export class SplitOffload implements DeviceOffload {
  readonly providers: readonly string[];
  readonly #members: readonly DeviceOffload[];
  readonly #split: (range: ByteRange) => Iterable<Piece>;

  constructor(members: readonly DeviceOffload[], split: (range: ByteRange) => Iterable<Piece>) {
    this.#members = members;
    this.#split = split;
    this.providers = combinedProviders(members);
  }

  read(request: OffloadReadRequest): Promise<OffloadReadResult> {
    const { joiner } = request;
    return joiner === undefined ? this.#readRuns(request) : this.#readJoined(request, joiner);
  }

  /** One token for all of the ranges, or their first part. */
  async #readJoined(request: OffloadReadRequest, joiner: TokenJoiner): Promise<OffloadReadResult> {
    const { pieces, ranges } = this.#piecesOf(request.ranges);
    if (ranges.size === 0) return { tokens: [], lengthBytes: 0 };
    const members = [...ranges];
    if (members.length === 1) {
      const [member, ranges] = members[0]!;
      return this.#members[member]!.read({ ...request, ranges });
    }
    if (request.persistent || request.kind === "hash")
      throw new RopewalkError(
        "TOKEN_UNSUPPORTED",
        "The data is on several members: one token for it is neither persistent nor a hash token. Ask for another kind or a shorter range.",
      );
    // How the whole token ends, and its companion, are not its parts'.
    const asked = { ...request, deleteOnUse: false, withChecksums: false };
    const outcomes = await Promise.allSettled(
      members.map(([member, ranges]) => this.#members[member]!.read({ ...asked, ranges })),
    );
    const results = new Map<number, OffloadReadResult>();
    for (const [index, outcome] of outcomes.entries())
      if (outcome.status === "fulfilled") results.set(members[index]![0], outcome.value);
    const { unused, ...parts } = joinableParts(pieces, results);
    joiner.discard(unused);
    if (parts.pieces.length > 0) return joiner.join(parts, request);
    const [first] = outcomes;
    if (first!.status === "rejected") throw first!.reason;
    return { tokens: [], lengthBytes: 0 };
  }

  async #readRuns(request: OffloadReadRequest): Promise<OffloadReadResult> {
    const runs = this.#runsOf(request.ranges);
    const outcomes = await Promise.allSettled(
      runs.map(({ member, ranges }) => this.#members[member]!.read({ ...request, ranges })),
    );
    const tokens: OffloadToken[] = [];
    let lengthBytes = 0;
    for (const [index, outcome] of outcomes.entries()) {
      const run = runs[index]!;
      if (outcome.status === "rejected") {
        if (index === 0) throw outcome.reason;
        break;
      }
      for (const token of outcome.value.tokens)
        tokens.push({ ...token, dataOffsetBytes: token.dataOffsetBytes + run.dataOffsetBytes });
      lengthBytes += outcome.value.lengthBytes;
      if (outcome.value.lengthBytes < run.lengthBytes) break;
    }
    return { tokens, lengthBytes };
  }

  async write(request: OffloadWriteRequest): Promise<OffloadWriteResult> {
    let lengthBytes = 0;
    let movedBytes = 0;
    const askedBytes = bytesOfRanges(request.ranges);
    for (const run of this.#runsOf(request.ranges)) {
      const isLast = lengthBytes + run.lengthBytes === askedBytes;
      try {
        if (request.signal?.aborted)
          throw new RopewalkError("CANCELLED", "The token write was cancelled; what was written stays.");
        const written = await this.#members[run.member]!.write({
          ...request,
          ranges: run.ranges,
          tokenOffsetBytes: request.tokenOffsetBytes + lengthBytes,
          ...(!isLast && { isPart: true }),
        });
        lengthBytes += written.lengthBytes;
        movedBytes += written.movedBytes;
        if (written.lengthBytes < run.lengthBytes) break;
      } catch (error) {
        if (lengthBytes === 0) throw error;
        break;
      }
    }
    return { lengthBytes, movedBytes };
  }

  /** The first pieces of the ranges, as many as one joined token takes; and what they are on each member. */
  #piecesOf(ranges: readonly ByteRange[]): { pieces: Piece[]; ranges: Map<number, ByteRange[]> } {
    const pieces: Piece[] = [];
    const onMembers = new Map<number, ByteRange[]>();
    for (const range of ranges) {
      if (range.lengthBytes === 0) continue;
      for (const piece of this.#split(range)) {
        const onMember = onMembers.get(piece.member) ?? [];
        if (pieces.length === JOINED_PIECES_MAX || onMember.length === PIECES_MAX)
          return { pieces, ranges: onMembers };
        pieces.push(piece);
        addRange(onMember, piece);
        onMembers.set(piece.member, onMember);
      }
    }
    return { pieces, ranges: onMembers };
  }

  /** The first runs of the ranges, as many as one operation takes. */
  #runsOf(ranges: readonly ByteRange[]): Run[] {
    const runs: Run[] = [];
    let dataOffsetBytes = 0;
    for (const range of ranges) {
      if (range.lengthBytes === 0) continue;
      for (const { member, offsetBytes, lengthBytes } of this.#split(range)) {
        let run = runs.at(-1);
        if (run?.member !== member || run.ranges.length === PIECES_MAX) {
          if (runs.length === RUNS_MAX) return runs;
          run = { member, dataOffsetBytes, ranges: [], lengthBytes: 0 };
          runs.push(run);
        }
        addRange(run.ranges, { offsetBytes, lengthBytes });
        run.lengthBytes += lengthBytes;
        dataOffsetBytes += lengthBytes;
      }
    }
    return runs;
  }
}

/** One more range, which may go on where the last one ended. */
function addRange(ranges: ByteRange[], { offsetBytes, lengthBytes }: ByteRange): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.offsetBytes + last.lengthBytes === offsetBytes)
    ranges[ranges.length - 1] = { ...last, lengthBytes: last.lengthBytes + lengthBytes };
  else ranges.push({ offsetBytes, lengthBytes });
}

/** Bytes of all ranges together. */
export function bytesOfRanges(ranges: readonly ByteRange[]): number {
  let total = 0;
  for (const { lengthBytes } of ranges) total += lengthBytes;
  return total;
}
