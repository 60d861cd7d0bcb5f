/** Which failures of a token copy say that plain copying is the way, and which say that nothing is (T19). */
import { asRopewalkError, type ErrorCode } from "../base/errors.ts";

const COPY_PLAINLY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "UNSUPPORTED",
  "TOKEN_UNSUPPORTED",
  "TOKEN_UNKNOWN",
  "TOKEN_EXPIRED",
  "TOKEN_REVOKED",
  "TOKEN_CANCELLED",
]);

export function saysCopyPlainly(error: unknown): boolean {
  return COPY_PLAINLY.has(asRopewalkError(error).code);
}
