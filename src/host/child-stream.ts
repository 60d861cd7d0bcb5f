/**
 * A pair of Node streams, one to read and one to write, as a ByteStream: the standard input and output of a child
 * process (`ssh-stream.ts`) or of this one (`stdio-stream.ts`).
 *
 * Always holds: the receiver hears nothing after `closed`, which comes once, when the owner of the pair says that it is
 * `over`, and behind the last byte unless it was cut. The owner hears of a pair that is to be cut.
 */
import type { Readable, Writable } from "node:stream";
import { assert } from "../base/assert.ts";
import type { ByteStream, Peer, StreamReceiver } from "../ports/mod.ts";
import { CopiedDelivery } from "./copied-delivery.ts";

export interface ChildStreamParts {
  readonly peer: Peer;
  readonly input: Readable;
  readonly output: Writable;
  /** Ends at once what the two belong to. */
  readonly cut: () => void;
}

export class ChildStream implements ByteStream {
  readonly peer: Peer;
  readonly #parts: ChildStreamParts;
  readonly #receiver: StreamReceiver;
  readonly #delivery: CopiedDelivery;
  #isQueued = false;
  #isOver = false;
  #isCut = false;
  #isClosed = false;

  /** Opened at once: from a callback. */
  constructor(parts: ChildStreamParts, receiver: StreamReceiver) {
    this.peer = parts.peer;
    this.#parts = parts;
    this.#receiver = receiver;
    this.#delivery = new CopiedDelivery(parts.input, receiver);
    receiver.opened(this);
  }

  write(parts: readonly Uint8Array[]): boolean {
    const { output } = this.#parts;
    if (!output.writable) return true;
    output.cork();
    const last = parts.length - 1;
    for (let index = 0; index < last; index++) output.write(parts[index]!);
    output.write(parts[last]!, this.#taken);
    output.uncork();
    this.#isQueued = output.writableLength > 0;
    return !this.#isQueued;
  }

  readonly #taken = (): void => {
    if (!this.#isQueued || this.#isClosed || this.#parts.output.writableLength > 0) return;
    this.#isQueued = false;
    this.#receiver.drained();
  };

  pause(): void {
    this.#delivery.pause();
  }

  resume(): void {
    this.#delivery.resume();
  }

  startTls(): void {
    assert(false, "a stream over a process's input and output is not secured by TLS");
  }

  end(): void {
    this.#parts.output.end();
  }

  destroy(): void {
    this.#isCut = true;
    this.#delivery.stop();
    this.#parts.cut();
    // Its close was kept back until all was delivered, which now never is.
    if (this.#isOver) setImmediate(() => this.#close(undefined));
  }

  /** The pair has gone: what arrived before is still delivered, unless the receiver itself cut it. */
  over(error: Error | undefined): void {
    this.#isOver = true;
    if (this.#isCut) this.#close(undefined);
    else this.#delivery.finish(() => this.#close(error));
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#delivery.stop();
    this.#receiver.closed(error);
  }
}
