/**
 * Copies what a Node stream reads into the receiver's memory.
 *
 * Always holds: everything arrives in order, `ended` behind the last byte, and no byte while the receiver pauses; of what
 * Node hands over at most one piece waits here, or what a process that ended had left in its pipe. After `stop` the
 * receiver hears nothing.
 */
import type { Readable } from "node:stream";
import type { StreamReceiver } from "../ports/mod.ts";

export class CopiedDelivery {
  readonly #source: Readable;
  readonly #receiver: StreamReceiver;
  #pending: Uint8Array[] = [];
  #isPaused = false;
  #isDelivering = false;
  #hasEnded = false;
  #endIsTold = false;
  #isStopped = false;
  #atEnd: (() => void) | undefined;

  /** `arrived` is called for every piece, before it is delivered. */
  constructor(source: Readable, receiver: StreamReceiver, arrived?: () => void) {
    this.#source = source;
    this.#receiver = receiver;
    source.on("data", (bytes: Uint8Array) => {
      arrived?.();
      this.#pending.push(bytes);
      this.#deliver();
    });
    source.on("end", () => {
      this.#hasEnded = true;
      this.#deliver();
    });
  }

  pause(): void {
    this.#isPaused = true;
    this.#source.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.#pending.length > 0 || this.#hasEnded) setImmediate(() => this.#deliver());
    else this.#source.resume();
  }

  /** Nothing more comes from the source: `action` is called when all of it was delivered, or if nothing more is to be. */
  finish(action: () => void): void {
    this.#atEnd = action;
    if (this.#isStopped) action();
    else this.#deliver();
  }

  /** Throws away what was not delivered. */
  stop(): void {
    this.#isStopped = true;
    this.#pending = [];
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    while (this.#pending.length > 0 && !this.#isPaused) {
      const bytes = this.#pending[0]!;
      const target = this.#receiver.target();
      const length = Math.min(target.length, bytes.length);
      target.set(bytes.subarray(0, length));
      if (length === bytes.length) this.#pending.shift();
      else this.#pending[0] = bytes.subarray(length);
      this.#receiver.received(length);
    }
    this.#isDelivering = false;
    if (this.#isStopped || this.#pending.length > 0) return;
    if (this.#hasEnded && !this.#endIsTold) {
      this.#endIsTold = true;
      this.#receiver.ended();
    }
    if (this.#atEnd !== undefined && !this.#isStopped) {
      this.stop();
      this.#atEnd();
    } else if (!this.#isPaused) this.#source.resume();
  }
}
