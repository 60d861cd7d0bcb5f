/**
 * Sends parts over a byte stream, which takes one batch at a time; what comes meanwhile waits in order.
 * Always holds: whoever sends bounds what may be under way; nothing is sent after the end.
 */
import type { ByteStream } from "../../ports/mod.ts";

export class StreamSender {
  #stream: ByteStream | undefined;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isBusy = true;
  #isEnded = false;
  sentBytes = 0;
  /** Grows by what the stream took over, and when it took all. */
  takenBytes = 0;
  #underWay = 0;

  get isOpen(): boolean {
    return this.#stream !== undefined && !this.#isEnded;
  }

  /** Bytes that the stream has not taken yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** All that was given to `send`. */
  get acceptedBytes(): number {
    return this.sentBytes + this.#waitingBytes;
  }

  opened(stream: ByteStream): void {
    this.#stream = stream;
    this.#isBusy = false;
    this.#go();
  }

  send(parts: readonly Uint8Array[]): void {
    if (this.#isEnded) return;
    for (const part of parts) {
      this.#waiting.push(part);
      this.#waitingBytes += part.length;
    }
    this.#go();
  }

  drained(): void {
    this.#isBusy = false;
    this.#took();
    this.#go();
    if (this.#isEnded && !this.#isBusy) this.#stream?.end();
  }

  /** Sends what waits, then closes. */
  end(): void {
    this.#isEnded = true;
    this.#go();
    if (!this.#isBusy) this.#stream?.end();
  }

  destroy(): void {
    this.#isEnded = true;
    this.#waiting = [];
    this.#stream?.destroy();
  }

  #go(): void {
    if (this.#isBusy || this.#waiting.length === 0 || this.#stream === undefined) return;
    const parts = this.#waiting;
    this.sentBytes += this.#waitingBytes;
    this.#underWay = this.#waitingBytes;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#isBusy = !this.#stream.write(parts);
    if (!this.#isBusy) this.#took();
  }

  #took(): void {
    this.takenBytes += this.#underWay;
    this.#underWay = 0;
  }
}
