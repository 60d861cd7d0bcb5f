/**
 * Requests that a device has in work, grouped by the promise that will end them: a group commit ends many at
 * once, and one `then` serves them all.
 */
import type { RequestHeader } from "../../wire/nbd/mod.ts";
import type { Chunk, ReplyRegion } from "../stream/mod.ts";

/** What is left of a request's header while it is in work: one small object, measured to be harmless. */
export class PendingRequest {
  readonly type: number;
  readonly flags: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly offsetHigh: number;
  readonly offsetLow: number;
  readonly offset: number;
  readonly length: number;
  /** Bytes of the account that it holds. */
  readonly charge: number;
  /** The chunk that a write's payload stands in. */
  payload: Chunk | undefined = undefined;
  /** Where a read's reply is being made. */
  region: ReplyRegion | undefined = undefined;

  constructor(header: RequestHeader, charge: number) {
    this.type = header.type;
    this.flags = header.flags;
    this.cookieHigh = header.cookieHigh;
    this.cookieLow = header.cookieLow;
    this.offsetHigh = header.offsetHigh;
    this.offsetLow = header.offsetLow;
    this.offset = header.offset;
    this.length = header.length;
    this.charge = charge;
  }
}

export class PendingGroup {
  readonly promise: Promise<void>;
  readonly requests: PendingRequest[] = [];

  constructor(promise: Promise<void>) {
    this.promise = promise;
  }
}
