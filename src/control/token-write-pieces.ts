/**
 * The pieces of one token write: each has a place in the tokens' data, a place in the volume and a length, and what is
 * left out of it goes on from the piece before (T2).
 *
 * Always holds: pieces that were placed are inside the tokens' data and the volume, none is empty, and no two of them
 * write the same bytes, so that their order decides nothing but how far a write came that failed.
 * Errors: TOO_MANY, TOKEN_CUT, NO_SPACE (past the volume's end), INVALID_RANGE (pieces that overlap).
 */
import { RopewalkError } from "../base/errors.ts";
import type { PlacedToken } from "./token-runs.ts";

export const TOKEN_WRITE_PIECES_MAX = 1024;

export interface TokenWritePiece {
  /** Where in the tokens' data to begin; where the piece before ended, of the first 0, when absent. */
  readonly tokenOffsetBytes?: number | undefined;
  /** Where in the volume to begin, likewise. */
  readonly offsetBytes?: number | undefined;
  /** All that the tokens hold from there when absent; of the zero token, to the volume's end. */
  readonly lengthBytes?: number | undefined;
}

export interface PlacedPiece {
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly lengthBytes: number;
}

interface Stretch {
  readonly startBytes: number;
  readonly endBytes: number;
}

export function placedPieces(
  pieces: readonly TokenWritePiece[],
  { tokens, volumeBytes }: { tokens: readonly PlacedToken[]; volumeBytes: number },
): PlacedPiece[] {
  if (pieces.length > TOKEN_WRITE_PIECES_MAX)
    throw new RopewalkError("TOO_MANY", `A token write takes at most ${TOKEN_WRITE_PIECES_MAX} pieces.`);
  const stretches = stretchesOf(tokens);
  const placed: PlacedPiece[] = [];
  let [tokenEnd, volumeEnd] = [0, 0];
  for (const piece of pieces) {
    const { tokenOffsetBytes: fromBytes = tokenEnd, offsetBytes: toBytes = volumeEnd } = piece;
    const stretch = stretches.find(
      ({ startBytes, endBytes }) => startBytes <= fromBytes && fromBytes < endBytes,
    );
    const heldBytes = stretch === undefined ? 0 : stretch.endBytes - fromBytes;
    const isEndless = stretch?.endBytes === Number.MAX_SAFE_INTEGER;
    const lengthBytes = piece.lengthBytes ?? (isEndless ? Math.max(0, volumeBytes - toBytes) : heldBytes);
    if (lengthBytes > heldBytes || (lengthBytes === 0 && toBytes < volumeBytes))
      throw new RopewalkError(
        "TOKEN_CUT",
        `The tokens hold ${heldBytes} bytes from ${fromBytes} on, not ${lengthBytes === 0 ? "any" : lengthBytes}.`,
      );
    if (toBytes >= volumeBytes || lengthBytes > volumeBytes - toBytes)
      throw new RopewalkError(
        "NO_SPACE",
        `The volume ends at ${volumeBytes}, before ${lengthBytes} bytes at ${toBytes} do; nothing was written.`,
      );
    placed.push({ fromBytes, toBytes, lengthBytes });
    [tokenEnd, volumeEnd] = [fromBytes + lengthBytes, toBytes + lengthBytes];
  }
  checkApart(placed);
  return placed;
}

/** The last piece that reads from each token: only then a token of one use is used up. */
export function lastPieces(
  tokens: readonly PlacedToken[],
  pieces: readonly PlacedPiece[],
): ReadonlyMap<Uint8Array, number> {
  const last = new Map<Uint8Array, number>();
  for (const { token, dataOffsetBytes, lengthBytes } of tokens) {
    const index = pieces.findLastIndex(
      (piece) =>
        piece.fromBytes < dataOffsetBytes + lengthBytes &&
        dataOffsetBytes < piece.fromBytes + piece.lengthBytes,
    );
    if (index >= 0) last.set(token, index);
  }
  return last;
}

/** Where the data of the tokens has no gap, from its start on. */
function stretchesOf(tokens: readonly PlacedToken[]): Stretch[] {
  const primaries = tokens.filter(({ role }) => role === "primary");
  primaries.sort((one, other) => one.dataOffsetBytes - other.dataOffsetBytes);
  const stretches: Stretch[] = [];
  for (const { dataOffsetBytes: startBytes, lengthBytes } of primaries) {
    const endBytes = Math.min(startBytes + lengthBytes, Number.MAX_SAFE_INTEGER);
    const before = stretches.at(-1);
    if (before === undefined || before.endBytes < startBytes) stretches.push({ startBytes, endBytes });
    else if (before.endBytes < endBytes)
      stretches[stretches.length - 1] = { startBytes: before.startBytes, endBytes };
  }
  return stretches;
}

function checkApart(pieces: readonly PlacedPiece[]): void {
  const sorted = [...pieces].sort((one, other) => one.toBytes - other.toBytes);
  for (const [index, { toBytes }] of sorted.entries()) {
    const before = sorted[index - 1];
    if (before !== undefined && before.toBytes + before.lengthBytes > toBytes)
      throw new RopewalkError(
        "INVALID_RANGE",
        `Two pieces write the same bytes at ${toBytes} of the volume; leave one of them out. Nothing was written.`,
      );
  }
}
