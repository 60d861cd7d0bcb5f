// One direction of a connection through the relay: each piece is passed on when its time has come, in the order in
// which the pieces came. Always holds: no more than the window and one piece are on the way.

export interface DelayLineParts {
  /** Of the next piece. */
  readonly delayMs: () => number;
  readonly windowBytes: number;
  /** Passes a piece on; `taken` when the other side has it. */
  readonly write: (chunk: Uint8Array, taken: () => void) => void;
  /** Nothing comes behind the pieces so far. */
  readonly end: () => void;
  /** Nothing more is to be pushed until `goOn`. */
  readonly hold: () => void;
  readonly goOn: () => void;
}

interface Piece {
  /** Undefined: the end. */
  readonly chunk: Uint8Array | undefined;
  readonly dueMs: number;
}

export class DelayLine {
  readonly #parts: DelayLineParts;
  readonly #pieces: Piece[] = [];
  #lastDueMs = 0;
  #bytes = 0;
  #isHeld = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: DelayLineParts) {
    this.#parts = parts;
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length;
    this.#add(chunk);
    if (this.#isHeld || this.#bytes < this.#parts.windowBytes) return;
    this.#isHeld = true;
    this.#parts.hold();
  }

  end(): void {
    this.#add(undefined);
  }

  #add(chunk: Uint8Array | undefined): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#parts.delayMs());
    this.#pieces.push({ chunk, dueMs: this.#lastDueMs });
    if (this.#timer === undefined) this.#passOn();
  }

  #passOn(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (;;) {
      const piece = this.#pieces[0];
      if (piece === undefined) return;
      if (piece.dueMs > nowMs) {
        this.#timer = setTimeout(() => this.#passOn(), piece.dueMs - nowMs);
        return;
      }
      this.#pieces.shift();
      const { chunk } = piece;
      if (chunk === undefined) this.#parts.end();
      else this.#parts.write(chunk, () => this.#taken(chunk.length));
    }
  }

  #taken(length: number): void {
    this.#bytes -= length;
    if (!this.#isHeld || this.#bytes >= this.#parts.windowBytes) return;
    this.#isHeld = false;
    this.#parts.goOn();
  }
}
