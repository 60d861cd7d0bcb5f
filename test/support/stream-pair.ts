// Two byte streams in memory that are connected to each other, over a clock. Each direction holds a bounded number of
// bytes, as a kernel would; nothing is delivered from inside a call. What a stream has taken it has copied; what it
// could not take yet it reads only when there is room, so that memory which is reused too early shows.
import type { ByteStream, Clock, Peer, StreamReceiver } from "../../src/ports/mod.ts";

const BUFFER_BYTES_MAX = 64 * 1024;

export interface StreamPairOptions {
  readonly clock: Clock;
  readonly receivers: readonly [StreamReceiver, StreamReceiver];
  /** Of each direction; default 64 KiB. */
  readonly bufferBytesMax?: number;
  /** How long each step to the other end takes; default: to the next turn of the loop. */
  readonly delayMs?: number;
}

export class StreamPair {
  readonly #ends: readonly [End, End];

  /** Both receivers hear `opened` in a later turn. */
  constructor({ clock, receivers, bufferBytesMax = BUFFER_BYTES_MAX, delayMs = 0 }: StreamPairOptions) {
    const later = (action: () => void) => {
      if (delayMs > 0) clock.after(delayMs, action);
      else clock.soon(action);
    };
    this.#ends = [
      new End(receivers[0], "first", bufferBytesMax, later),
      new End(receivers[1], "second", bufferBytesMax, later),
    ];
    this.#ends[0].connect(this.#ends[1]);
    this.#ends[1].connect(this.#ends[0]);
  }

  /** The line is cut: both ends hear of it, and whatever was under way is lost. */
  cut(error: Error = new Error("the line was cut")): void {
    for (const end of this.#ends) end.break(error);
  }
}

class End implements ByteStream {
  readonly peer: Peer;
  readonly #receiver: StreamReceiver;
  readonly #bufferBytesMax: number;
  readonly #later: (action: () => void) => void;
  #other!: End;
  /** Copied, on its way to the other end. */
  #sent: Uint8Array[] = [];
  #sentBytes = 0;
  /** Not copied yet: the writer's memory. */
  #waiting: Uint8Array[] = [];
  #isPaused = false;
  #isEnding = false;
  #endIsHeard = false;
  #isGone = false;
  #isScheduled = false;

  constructor(receiver: StreamReceiver, name: string, bytesMax: number, later: (action: () => void) => void) {
    this.peer = { kind: "unix", loopback: true, description: name };
    this.#receiver = receiver;
    this.#bufferBytesMax = bytesMax;
    this.#later = later;
  }

  connect(other: End): void {
    this.#other = other;
    this.#later(() => {
      if (!this.#isGone) this.#receiver.opened(this);
    });
  }

  write(parts: readonly Uint8Array[]): boolean {
    if (this.#isGone || this.#isEnding) return true;
    if (this.#waiting.length > 0) throw new Error("written before it was drained");
    if (this.#other.#isGone) {
      this.break(new Error("the other end is gone"));
      return true;
    }
    this.#waiting = parts.filter((part) => part.length > 0);
    this.#take();
    this.#other.#deliverLater();
    return this.#waiting.length === 0;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#deliverLater();
  }

  startTls(): void {
    this.#later(() => {
      if (!this.#isGone) this.#receiver.secured();
    });
  }

  end(): void {
    if (this.#isEnding || this.#isGone) return;
    this.#isEnding = true;
    this.#other.#deliverLater();
  }

  /** The other end still gets what was taken, then the end. */
  destroy(): void {
    this.#waiting = [];
    this.#isEnding = true;
    this.#other.#deliverLater();
    this.break(undefined);
  }

  break(error: Error | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (error !== undefined) {
      this.#sent = [];
      this.#waiting = [];
    }
    this.#later(() => this.#receiver.closed(error));
  }

  /** Copies what there is room for. */
  #take(): void {
    while (this.#waiting.length > 0 && this.#sentBytes < this.#bufferBytesMax) {
      const part = this.#waiting[0]!;
      const length = Math.min(part.length, this.#bufferBytesMax - this.#sentBytes);
      this.#sent.push(Uint8Array.from(part.subarray(0, length)));
      this.#sentBytes += length;
      if (length === part.length) this.#waiting.shift();
      else this.#waiting[0] = part.subarray(length);
    }
  }

  #deliverLater(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#later(() => {
      this.#isScheduled = false;
      this.#deliver();
    });
  }

  /** One piece a turn, from the other end to this one's receiver. */
  #deliver(): void {
    const from = this.#other;
    if (this.#isPaused || this.#isGone) return;
    const piece = from.#sent[0];
    if (piece !== undefined) {
      const target = this.#receiver.target();
      const length = Math.min(target.length, piece.length);
      target.set(piece.subarray(0, length));
      if (length === piece.length) from.#sent.shift();
      else from.#sent[0] = piece.subarray(length);
      from.#sentBytes -= length;
      from.#refillLater();
      this.#deliverLater();
      this.#receiver.received(length);
    } else if (from.#isEnding && from.#waiting.length === 0 && !this.#endIsHeard) {
      this.#endIsHeard = true;
      this.#receiver.ended();
      this.#closeWhenBothEnded();
      from.#closeWhenBothEnded();
    }
  }

  /** There is room again. */
  #refillLater(): void {
    if (this.#waiting.length === 0 || this.#isGone) return;
    this.#later(() => {
      if (this.#waiting.length === 0 || this.#isGone) return;
      this.#take();
      this.#other.#deliverLater();
      if (this.#waiting.length === 0) this.#receiver.drained();
    });
  }

  #closeWhenBothEnded(): void {
    if (this.#endIsHeard && this.#other.#endIsHeard) this.break(undefined);
  }
}
