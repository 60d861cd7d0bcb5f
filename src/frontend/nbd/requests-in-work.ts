/**
 * Requests of one connection that the device has in work, and how they end.
 *
 * Always holds: each is answered exactly once, with its reply or its error; what it holds, payload, reply region and
 * charge, is let go then and not before. Requests that one promise ends share one reaction to it.
 */

import type { RequestHeader } from "../../wire/nbd/mod.ts";
import type { ByteAccount, ReplyQueue } from "../stream/mod.ts";
import type { NbdCounters } from "./counters.ts";
import { deviceError, wireErrno } from "./export-facts.ts";
import { PendingGroup, type PendingRequest } from "./pending-request.ts";
import type { ReplyWriter } from "./reply-writer.ts";
import type { Refusal } from "./request-rules.ts";

export interface RequestsInWorkWorld {
  readonly replies: ReplyQueue;
  readonly account: ByteAccount;
  readonly counters: NbdCounters;
  /** Something ended: replies may have gathered, limits may be met again. */
  readonly progressed: () => void;
}

export class RequestsInWork {
  readonly #world: RequestsInWorkWorld;
  readonly #writer: ReplyWriter;
  /** The promise that requests of a type were given last, with them. */
  readonly #groups: (PendingGroup | undefined)[] = new Array(8).fill(undefined);
  count = 0;

  constructor(world: RequestsInWorkWorld, writer: ReplyWriter) {
    this.#world = world;
    this.#writer = writer;
  }

  /** The request ends with `completion`, together with others of its kind that were given the same promise. */
  pend(completion: Promise<void>, request: PendingRequest): void {
    this.count++;
    let group = this.#groups[request.type];
    if (group === undefined || group.promise !== completion) {
      const fresh = new PendingGroup(completion);
      group = fresh;
      this.#groups[request.type] = fresh;
      const settled = (error: unknown) => this.#complete(fresh, error);
      completion.then(
        () => settled(undefined),
        (error) => settled(error ?? new Error("no reason given")),
      );
    }
    group.requests.push(request);
  }

  #complete(group: PendingGroup, error: unknown): void {
    const first = group.requests[0]!;
    if (this.#groups[first.type] === group) this.#groups[first.type] = undefined;
    this.count -= group.requests.length;
    const { replies } = this.#world;
    for (const request of group.requests) {
      request.payload?.release();
      const region = request.region;
      if (region !== undefined && error === undefined) {
        replies.attach(region, request.charge);
        continue;
      }
      if (region !== undefined) replies.drop(region);
      if (error !== undefined) {
        this.failed(request, error);
        continue;
      }
      this.#endCharge(request);
      this.#writer.done(request);
    }
    this.#world.progressed();
  }

  /** Counts work that answers for itself as a request in work. */
  track(work: Promise<void>): void {
    this.count++;
    void work.then(() => {
      this.count--;
      this.#world.progressed();
    });
  }

  /** A request failed that was charged for. */
  failed(request: PendingRequest, cause: unknown): void {
    this.#endCharge(request);
    this.failWith(request, cause);
  }

  /** Answers with the error of the device. */
  failWith(request: RequestHeader | PendingRequest, cause: unknown): void {
    const error = deviceError(cause);
    this.refuse(request, {
      errno: wireErrno(error, request),
      sentence: `${error.code}: ${error.message}`,
    });
  }

  refuse(request: RequestHeader | PendingRequest, { errno, sentence }: Refusal): void {
    this.#world.counters.failedRequests++;
    this.#writer.failed(request, errno, sentence);
  }

  #endCharge(request: PendingRequest): void {
    if (request.charge > 0) this.#world.account.give(request.charge);
  }
}
