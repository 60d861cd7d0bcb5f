/**
 * One use of a token, as a copy or a reader sees it, whatever kind of token it is.
 * Always holds: the content does not change from `begin` to `finish`; data is used only after `verify` of its part.
 */
import { createHash } from "node:crypto";
import type { RopewalkError } from "../base/errors.ts";
import type { ByteRange } from "../device/mod.ts";
import { type Clock, nextTurn } from "../ports/mod.ts";
import type { TokenContent } from "./token-backing.ts";
import type { TokenRanges } from "./token-ranges.ts";

const HASHED_AT_ONCE_BYTES = 2 ** 20;

export interface TokenUse {
  readonly ranges: TokenRanges;
  readonly content: TokenContent;
  /** Who keeps the token; undefined: nothing is kept for it. */
  readonly provider?: string;
  /** Compares a part of the token's data with what is known of it; `goOn` throws what ends it early. CHECKSUM_MISMATCH, TOKEN_CANCELLED */
  verify(part: ByteRange, goOn: () => void): Promise<void>;
  /** What the use must stop for. */
  stopped(): RopewalkError | undefined;
  /** `isUsed`: it did all that was asked, which ends a token of one use. */
  finish(outcome: { isUsed: boolean }): Promise<void>;
}

interface HashOptions {
  readonly clock: Clock;
  /** Throws what ends it early. */
  readonly goOn: () => void;
  /** Sees the data pass by, from its place in the token on. */
  readonly passing?: (at: number, data: Uint8Array) => void;
}

type TokenData = Pick<TokenUse, "ranges" | "content">;

/** Fills `target` from the token's data at `offset`, all of it inside the token. */
export async function readToken(data: TokenData, offset: number, target: Uint8Array): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const { offsetBytes, lengthBytes } = data.ranges.at(offset + done)!;
    const length = Math.min(lengthBytes, target.length - done);
    await data.content.read(offsetBytes, target.subarray(done, done + length));
    done += length;
  }
}

/** SHA-256 of a part of a token's data, read in pieces between which others get their turn. */
export async function hashToken(
  data: TokenData,
  { offsetBytes, lengthBytes }: ByteRange,
  { clock, goOn, passing }: HashOptions,
): Promise<Uint8Array> {
  const hash = createHash("sha256");
  const memory = new Uint8Array(Math.min(lengthBytes, HASHED_AT_ONCE_BYTES));
  for (let done = 0; done < lengthBytes; ) {
    goOn();
    const piece = memory.subarray(0, Math.min(memory.length, lengthBytes - done));
    await readToken(data, offsetBytes + done, piece);
    hash.update(piece);
    passing?.(offsetBytes + done, piece);
    done += piece.length;
    await nextTurn(clock);
  }
  return hash.digest();
}
