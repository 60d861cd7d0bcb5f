/**
 * What the copy manager asks of the token room, and who made a token as that room knows initiators: the session.
 *
 * Always holds: two sessions never share a name, so that the end of one ends only its own tokens; a name fits the
 * room's limit, as an iSCSI name has at most 223 bytes.
 */
import type { TokenInfo, TokenService } from "../../../offload/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";

export type CopyTokens = Pick<
  TokenService,
  "show" | "list" | "revoke" | "endCreator" | "chooseProvider" | "joiner"
>;

export function tokenCreator({ initiator, number }: ScsiNexus): string {
  return `${initiator} #${number}`;
}

/** Whether a token was made in a session of the initiator, in this one or another: those it may know of by itself. */
export function isOwnToken({ creator }: Pick<TokenInfo, "creator">, { initiator }: ScsiNexus): boolean {
  // A name of iSCSI has no spaces, so that nobody's name with a number is the beginning of another's.
  return creator.startsWith(`${initiator} #`);
}
