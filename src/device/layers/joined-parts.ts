/**
 * What a token that is to be one is joined of: the tokens that the members gave, and how the data goes from one to the
 * other and back.
 *
 * Always holds: of each member at most one token is used, the one for the beginning of its part, of alternatives the
 * first; the pieces end where a member that did less than asked, or failed, has no more.
 */
import type { JoinedParts, OffloadReadResult } from "../offload.ts";
import type { Piece } from "./split-offload.ts";

export interface JoinableParts extends JoinedParts {
  /** What members gave beside that. */
  readonly unused: readonly Uint8Array[];
}

export function joinableParts(
  pieces: readonly Pick<Piece, "member" | "lengthBytes">[],
  results: ReadonlyMap<number, OffloadReadResult>,
): JoinableParts {
  const firsts = new Map(
    [...results].map(([member, { tokens }]) => [
      member,
      tokens.find(({ role, dataOffsetBytes }) => role === "primary" && dataOffsetBytes === 0),
    ]),
  );
  const rests = new Map([...firsts].map(([member, token]) => [member, token?.lengthBytes ?? 0]));
  const parts = new Map<number, number>();
  const joined: { part: number; lengthBytes: number }[] = [];
  for (const { member, lengthBytes } of pieces) {
    const rest = rests.get(member) ?? 0;
    const taken = Math.min(lengthBytes, rest);
    rests.set(member, rest - taken);
    if (taken > 0) {
      const part = parts.get(member) ?? parts.size;
      parts.set(member, part);
      joined.push({ part, lengthBytes: taken });
    }
    if (taken < lengthBytes) break;
  }
  const tokens = [...parts.keys()].map((member) => firsts.get(member)!.token);
  const unused = [...results.values()]
    .flatMap((result) => result.tokens.map(({ token }) => token))
    .filter((token) => !tokens.includes(token));
  return { tokens, pieces: joined, unused };
}
