/**
 * Companions (T24): tokens that carry a checksum of another token's data, and go along with it to whoever writes it.
 *
 * Always holds: nothing is stored for a companion, and it gives no data; which token it belongs to is the id that it
 * carries. Errors: TOKEN_UNKNOWN for companions of which nothing is known, where the settings say so.
 */
import type { OffloadWriteRequest } from "../device/mod.ts";
import type { TokenFields } from "./token-bytes.ts";
import type { TokenLedger } from "./token-ledger.ts";
import type { ChecksumPayload } from "./token-payload.ts";

/** The longest data that has one checksum: a destination compares all of it, however little it writes. */
export const CHECKSUMMED_BYTES_MAX = 2 ** 32;

export interface TokenEnvelope {
  /** Any one of them suffices. */
  readonly primaries: readonly Uint8Array[];
  /** There is one for a primary. */
  readonly hasChecksums: boolean;
  /** What the data of a primary must add up to. */
  checksumsOf(primary: TokenFields): readonly Uint8Array[];
}

/** Tells companions from alternatives. TOKEN_UNKNOWN */
export function openEnvelope(
  ledger: TokenLedger,
  { tokens, companions: given = [] }: Pick<OffloadWriteRequest, "tokens" | "companions">,
): TokenEnvelope {
  const { bytes, settings } = ledger;
  const primaries: Uint8Array[] = [];
  const primaryIds = new Set<string>();
  const companions: ChecksumPayload[] = [];
  let unknown = 0;
  for (const token of tokens) {
    const fields = bytes.verify(token);
    if (fields?.payload?.kind === "checksum") companions.push(fields.payload);
    else {
      primaries.push(token);
      if (fields !== undefined) primaryIds.add(idText(fields.id));
    }
  }
  for (const token of given) {
    const payload = bytes.verify(token)?.payload;
    if (payload?.kind === "checksum") companions.push(payload);
    else unknown += 1;
  }
  const checksums = new Map<string, Uint8Array[]>();
  for (const { primaryId, checksum } of companions) {
    const id = idText(primaryId);
    if (!primaryIds.has(id)) unknown += 1;
    else checksums.set(id, [...(checksums.get(id) ?? []), checksum]);
  }
  if (unknown > 0 && settings.unknownCompanions === "fail")
    throw ledger.refuse(
      "TOKEN_UNKNOWN",
      "A companion is unknown, or its primary token is missing; hand in the tokens whole, or leave it out.",
    );
  const hasChecksums = checksums.size > 0;
  return { primaries, hasChecksums, checksumsOf: ({ id }) => checksums.get(idText(id)) ?? [] };
}

function idText(id: Uint8Array): string {
  return Buffer.from(id).toString("hex");
}
