/**
 * What a requestor says of a token for those who use it: how its data is used, and where it would like it to be (T13).
 *
 * Always holds: notes change nothing of what a token does; they are kept only of tokens that have some, and go when it
 * ends. Errors: INVALID_ARGUMENT, as a sentence.
 */
import type { OffloadReadRequest } from "../device/mod.ts";

/** How the data is read and written. */
export const TOKEN_USAGES = ["random", "sequential", "archive"] as const;
export type TokenUsage = (typeof TOKEN_USAGES)[number];

export interface TokenNotes {
  readonly usage?: TokenUsage;
  /** In the requestor's words, for whoever chooses a destination. */
  readonly placement?: string;
}

export type GivenTokenNotes = { readonly [Name in keyof TokenNotes]?: TokenNotes[Name] | undefined };

/** A request for a token with what is to be noted of it; layers hand it on as it is. */
export type NotedReadRequest = OffloadReadRequest & GivenTokenNotes;

export const PLACEMENT_BYTES_MAX = 64;
/** As a regular expression, for all who check: printable ASCII. */
export const PLACEMENT_PATTERN = "^[ -~]{1,64}$";
const PLACEMENT = new RegExp(PLACEMENT_PATTERN);

/** Memory of a token's notes. */
export const NOTES_BYTES_ESTIMATE = 256;

/** Undefined when there is nothing to note. */
export function notesOf({ usage, placement }: GivenTokenNotes): TokenNotes | undefined {
  if (usage === undefined && placement === undefined) return undefined;
  return { ...(usage !== undefined && { usage }), ...(placement !== undefined && { placement }) };
}

/** What is wrong with them, if anything. */
export function notesProblem({ usage, placement }: GivenTokenNotes): string | undefined {
  if (usage !== undefined && !TOKEN_USAGES.includes(usage))
    return `A token's usage is one of ${TOKEN_USAGES.join(", ")}.`;
  if (placement !== undefined && !PLACEMENT.test(placement))
    return `A token's placement is 1 to ${PLACEMENT_BYTES_MAX} printable ASCII characters.`;
  return undefined;
}
