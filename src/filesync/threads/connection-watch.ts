/**
 * Notices a connection that hangs: one over which nothing moves although the target was asked whether it is there.
 *
 * Always holds: a target that works for long on one request is not given up, as it answers the keep-alives; a link that is
 * slow is not either, as long as it takes bytes.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, Timer } from "../../ports/mod.ts";
import type { TargetConnection } from "./connection.ts";

export class ConnectionWatch {
  readonly #clock: Clock;
  readonly #connection: TargetConnection;
  readonly #keepAliveMs: number;
  readonly #replyTimeoutMs: number;
  #progress: number;
  #progressMs: number;
  #isAsking = false;
  #timer: Timer | undefined;

  constructor(
    connection: TargetConnection,
    options: { clock: Clock; keepAliveMs: number; replyTimeoutMs: number },
  ) {
    this.#connection = connection;
    this.#clock = options.clock;
    this.#keepAliveMs = options.keepAliveMs;
    this.#replyTimeoutMs = options.replyTimeoutMs;
    this.#progress = connection.progress;
    this.#progressMs = this.#clock.nowMs();
    this.#arm();
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#keepAliveMs, () => this.#look());
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    const { progress } = this.#connection;
    if (progress !== this.#progress) {
      this.#progress = progress;
      this.#progressMs = nowMs;
    }
    if (nowMs - this.#progressMs >= this.#replyTimeoutMs) {
      this.#timer = undefined;
      this.#connection.abandon(
        new RopewalkError("TIMEOUT", `The target has not answered for ${this.#replyTimeoutMs / 1000} s.`),
      );
      return;
    }
    this.#ask();
    this.#arm();
  }

  #ask(): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const answered = () => {
      this.#isAsking = false;
    };
    // That it failed is told by `closed`.
    this.#connection.keepAlive().then(answered, answered);
  }
}
