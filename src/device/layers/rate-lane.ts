/**
 * One direction of the layer `rate`: a bucket for bytes, one for requests, and the line of those that wait.
 *
 * Always holds: who waits passes in the order of arrival, except that an opened pass no longer counts. A request
 * passes while neither bucket is in debt and then takes its whole cost, so that one larger than the burst
 * passes too and those behind it pay.
 * Errors: TOO_MANY when the line is full.
 */
import { BoundedQueue } from "../../base/bounded-queue.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, Timer } from "../../ports/mod.ts";
import { TokenBucket } from "./token-bucket.ts";

const WAITING_MAX = 65_536;

export interface RateLimits {
  /** 0: no limit. */
  readonly bytesPerSecond: number;
  readonly requestsPerSecond: number;
  readonly burstMs: number;
}

/** A place in the line. */
export class RatePass {
  readonly bytes: number;
  readonly opened: Promise<void>;
  isOpen = false;
  #resolve: () => void = () => {};

  constructor(bytes: number) {
    this.bytes = bytes;
    this.opened = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  open(): void {
    this.isOpen = true;
    this.#resolve();
  }
}

export class RateLane {
  readonly #clock: Clock;
  readonly #line = new BoundedQueue<RatePass>(WAITING_MAX);
  #bytes: TokenBucket;
  #requests: TokenBucket;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bytes = new TokenBucket({ perSecond: 0, burst: 0, nowMs: 0 });
    this.#requests = this.#bytes;
  }

  set({ bytesPerSecond, requestsPerSecond, burstMs }: RateLimits): void {
    const nowMs = this.#clock.nowMs();
    const bucket = (perSecond: number) =>
      new TokenBucket({ perSecond, burst: Math.max(1, (perSecond * burstMs) / 1000), nowMs });
    this.#bytes = bucket(bytesPerSecond);
    this.#requests = bucket(requestsPerSecond);
    this.#advance();
  }

  /** Undefined: go ahead. Else the place in the line, to be waited for. */
  enter(bytes: number): RatePass | undefined {
    if (this.#line.length === 0 && this.#waitMs() === 0) {
      this.#take(bytes);
      return undefined;
    }
    const pass = new RatePass(bytes);
    if (!this.#line.push(pass)) {
      throw new RopewalkError(
        "TOO_MANY",
        `${WAITING_MAX} requests wait for the rate layer already; raise its limits.`,
      );
    }
    if (this.#timer === undefined) this.#advance();
    return pass;
  }

  /** Lets through whoever may go, and comes back when the next one may. */
  #advance(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (let pass = this.#line.peek(); pass !== undefined; pass = this.#line.peek()) {
      if (!pass.isOpen) {
        const waitMs = this.#waitMs();
        if (waitMs > 0) {
          this.#timer = this.#clock.after(waitMs, () => this.#advance());
          return;
        }
        this.#take(pass.bytes);
        pass.open();
      }
      this.#line.shift();
    }
  }

  #waitMs(): number {
    const nowMs = this.#clock.nowMs();
    return Math.max(this.#bytes.waitMs(nowMs), this.#requests.waitMs(nowMs));
  }

  #take(bytes: number): void {
    this.#bytes.take(bytes);
    this.#requests.take(1);
  }
}
