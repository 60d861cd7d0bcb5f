/** A failure that says how much was done before it, since that stays (T28). */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";

/** The same code; the sentence says "`done` of `of` bytes were `verb`". */
export function partialFailure(
  cause: unknown,
  { done, of, verb }: { done: number; of: number; verb: "copied" | "written" | "zeroed" },
): RopewalkError {
  const { code, message } = asRopewalkError(cause);
  return new RopewalkError(code, `${message} ${done} of ${of} bytes were ${verb} and stay.`, { cause });
}
