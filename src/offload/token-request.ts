/** What a request for a token may ask; the ranges were checked by the device's shim. */
import type { ErrorCode } from "../base/errors.ts";
import { type NotedReadRequest, notesProblem } from "./token-notes.ts";
import type { TokenSettings } from "./token-settings.ts";

const CREATOR_BYTES_MAX = 255;

/** What is wrong with it, if anything: INVALID_ARGUMENT, TOKEN_UNSUPPORTED. */
export function checkReadRequest(
  request: NotedReadRequest,
  settings: TokenSettings,
): { code: ErrorCode; sentence: string } | undefined {
  const { ttlMs, inactivityMs, priority, creator, policy, persistent, withChecksums } = request;
  const invalid = (sentence: string) => ({ code: "INVALID_ARGUMENT" as const, sentence });
  const unsupported = (sentence: string) => ({ code: "TOKEN_UNSUPPORTED" as const, sentence });
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > settings.ttlMsMax)
    return invalid(`A token lives from 1 to ${settings.ttlMsMax} ms.`);
  if (!Number.isSafeInteger(inactivityMs) || inactivityMs < 0 || inactivityMs > settings.ttlMsMax)
    return invalid(`A token may be unused from 0 (for ever) to ${settings.ttlMsMax} ms.`);
  if (!Number.isSafeInteger(priority)) return invalid("A token's priority is a whole number.");
  if (Buffer.byteLength(creator) > CREATOR_BYTES_MAX)
    return invalid(`A token's creator is named in at most ${CREATOR_BYTES_MAX} bytes.`);
  const wrongNotes = notesProblem(request);
  if (wrongNotes !== undefined) return invalid(wrongNotes);
  if (withChecksums && policy === "reference")
    return unsupported("What follows its source has no lasting checksum.");
  if (persistent && policy === "reference")
    return unsupported("A token that follows its source does not outlive a restart.");
  return request.kind === "hash" ? hashProblem(request, unsupported) : undefined;
}

/** Nothing is stored for a hash token: it cannot keep data, end by use, or carry more than its hashes. */
function hashProblem<Problem>(
  { policy, deleteOnUse, inactivityMs, withChecksums, usage, placement }: NotedReadRequest,
  unsupported: (sentence: string) => Problem,
): Problem | undefined {
  if (policy !== "invalidate") return unsupported("A hash token is over when its data changes: invalidate.");
  if (deleteOnUse || inactivityMs > 0) return unsupported("A hash token's end does not depend on its use.");
  if (usage !== undefined || placement !== undefined)
    return unsupported("Nothing is kept for a hash token, so no usage or placement either.");
  return withChecksums ? unsupported("A hash token is a checksum itself; it has no companion.") : undefined;
}
