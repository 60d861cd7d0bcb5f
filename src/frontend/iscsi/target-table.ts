/**
 * What the iSCSI front end serves, as seen by whoever hands it in. The front end knows targets, not volumes.
 *
 * Always holds: a target that was opened is closed again, exactly once, whatever becomes of the session.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { ScsiTarget } from "./scsi-target.ts";

export interface TargetEntry {
  /** An IQN, EUI or NAA name. */
  readonly name: string;
  readonly alias?: string;
}

export interface ChapAccount {
  readonly user: string;
  /** At least 12 bytes (RFC 7143, 12.1.3). */
  readonly secret: string;
}

/** CHAP as it is asked of initiators, and how the target proves itself to those that ask. */
export interface ChapAccounts {
  readonly incoming: readonly ChapAccount[];
  readonly outgoing?: ChapAccount;
}

export type TargetAuthentication = "none" | ChapAccounts;

export interface OpenedTarget {
  readonly scsi: ScsiTarget;
  readonly auth: TargetAuthentication;
  close(): Promise<void>;
}

export interface IscsiTargetTable {
  list(): readonly TargetEntry[];
  /**
   * For one login of `initiator`, whose name is not yet proved. Throws or rejects: UNAUTHORIZED when this initiator
   * may not come, NOT_FOUND or VOLUME_NOT_FOUND when there is no such target, TOO_MANY at a limit, others else.
   */
  open(name: string, initiator: string): OpenedTarget | Promise<OpenedTarget>;
}

/** A place that initiators connect to. */
export interface IscsiPortal {
  /** `HOST:PORT`, an IPv6 address in brackets. */
  readonly address: string;
  /** Portals with one tag share their sessions; from 0. */
  readonly portalGroupTag: number;
  /** Relative target port identifier, from 1. */
  readonly relativePort: number;
}

const SECRET_BYTES_MIN = 12;
const SECRET_BYTES_MAX = 255;
const USER_BYTES_MAX = 255;

/** Throws INVALID_CONFIG when accounts are not fit for use; to be called where they are configured. */
export function checkAuthentication(auth: TargetAuthentication): void {
  if (auth === "none") return;
  if (auth.incoming.length === 0) throw unfit("CHAP needs an account that initiators log in with");
  const users = new Set<string>();
  for (const account of auth.incoming) {
    checkAccount(account);
    if (users.has(account.user)) throw unfit(`CHAP user ${account.user} is named twice`);
    users.add(account.user);
  }
  const outgoing = auth.outgoing;
  if (outgoing === undefined) return;
  checkAccount(outgoing);
  if (auth.incoming.some((account) => account.secret === outgoing.secret))
    throw unfit("the target must prove itself with another CHAP secret than initiators do");
}

function checkAccount({ user, secret }: ChapAccount): void {
  const userBytes = Buffer.byteLength(user);
  if (userBytes === 0 || userBytes > USER_BYTES_MAX)
    throw unfit(`a CHAP user name has 1 to ${USER_BYTES_MAX} bytes`);
  const secretBytes = Buffer.byteLength(secret);
  if (secretBytes < SECRET_BYTES_MIN || secretBytes > SECRET_BYTES_MAX)
    throw unfit(
      `a CHAP secret has ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes; that of ${user} has not`,
    );
}

function unfit(sentence: string): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", sentence);
}
