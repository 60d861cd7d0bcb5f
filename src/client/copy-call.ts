/**
 * A copy at the daemon, followed to its end.
 *
 * Always holds: after a cancel the daemon has stopped before the call rejects with CANCELLED; a failure's sentence says
 * how much was copied, and so does the last word of progress; that much stays.
 */
import { RopewalkError } from "../base/errors.ts";
import type { CopyJson, CopyWorkJson, StartCopyJson } from "../frontend/http/mod.ts";
import type { ApiCaller } from "./api-call.ts";
import { followStarted, type LongCallOptions } from "./long-call.ts";

export type CopyProgressJson = NonNullable<CopyWorkJson["progress"]>;
export type CopyOptions = StartCopyJson & LongCallOptions<CopyProgressJson>;

/** Most copies move no data, so their end comes with the first answer. A cancel takes effect after it at the latest. */
const FIRST_ANSWER_SECONDS = 0.1;

export async function copy(
  caller: ApiCaller,
  { signal, onProgress, ...wish }: CopyOptions,
): Promise<CopyJson> {
  if (signal?.aborted) throw new RopewalkError("CANCELLED", "It was cancelled before it began.");
  const answer = await caller.call<CopyJson | CopyWorkJson>("POST", "/copies", {
    body: wish,
    query: { waitSeconds: FIRST_ANSWER_SECONDS },
  });
  if (!("state" in answer)) return answer;
  return followStarted<CopyProgressJson, CopyJson>(caller, answer, {
    path: `/copies/${answer.id}`,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress, onFailure: onProgress }),
  });
}
