/** Requests to a target and their replies, however they get there. */
import type { RopewalkError } from "../../base/errors.ts";
import type { ReplyTo, Request } from "../../wire/filesync/mod.ts";

export interface Exchange {
  /**
   * Asks; several may be under way. What the target refuses rejects with its error; when the connection ends, or
   * breaks the protocol, with UNREACHABLE or PROTOCOL_ERROR, and `closed` resolves.
   */
  ask<Type extends Request["type"]>(request: Extract<Request, { type: Type }>): Promise<ReplyTo<Type>>;
  /** Grows whenever bytes came, and whenever the way took some. */
  readonly progress: number;
  /** Undefined: closed by `close`. */
  readonly closed: Promise<RopewalkError | undefined>;
  close(): void;
  /** Ends it at once, for this reason. */
  abandon(reason: RopewalkError): void;
}
