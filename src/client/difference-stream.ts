/**
 * Reads a streamed JSON array of flat objects without holding it whole.
 * Always holds: either all elements are delivered and the array was closed, or it ends with an error.
 */
import { RopewalkError } from "../base/errors.ts";
import type { DifferenceJson } from "../frontend/http/mod.ts";
import { failedCall } from "./api-call.ts";

/** An element is far smaller; a stream without an end of one is none of ours. */
const ELEMENT_CHARACTERS_MAX = 4096;

/** Elements are flat and hold no braces in texts, so `{` and `}` delimit them. */
export async function* readDifferences(response: Response): AsyncGenerator<DifferenceJson> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of response.body ?? []) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
      let at = 0;
      for (let end = rest.indexOf("}"); end >= 0; end = rest.indexOf("}", at)) {
        yield JSON.parse(rest.slice(rest.indexOf("{", at), end + 1)) as DifferenceJson;
        at = end + 1;
      }
      rest = rest.slice(at);
      if (rest.length > ELEMENT_CHARACTERS_MAX) throw notAnArray();
    }
  } catch (cause) {
    if (cause instanceof SyntaxError) throw notAnArray(cause);
    throw failedCall(response.url, cause);
  }
  if (!/^[\s,[]*\]\s*$/.test(rest)) throw notAnArray();
}

function notAnArray(cause?: unknown): RopewalkError {
  return new RopewalkError(
    "PROTOCOL_ERROR",
    "The daemon's list of differences ended in the middle; ask again.",
    {
      cause,
    },
  );
}
