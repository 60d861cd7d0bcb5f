/**
 * What the copy manager asks of the token room, and who made a token as that room knows initiators: the session.
 * Always holds: two sessions never share a name, so that the end of one ends only its own tokens; a name fits the
 * room's limit, as an iSCSI name has at most 223 bytes.
 */
import type { TokenService } from "../../../offload/mod.ts";
import type { ScsiNexus } from "../scsi-target.ts";

export type CopyTokens = Pick<TokenService, "show" | "list" | "revoke" | "endCreator">;

export function tokenCreator({ initiator, number }: ScsiNexus): string {
  return `${initiator} #${number}`;
}
