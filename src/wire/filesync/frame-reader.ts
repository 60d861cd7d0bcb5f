/**
 * Takes the bytes of one direction of a connection as they come and hands out whole frames.
 *
 * Always holds: at most one frame's payload (a reply's: those of its frames) is kept, and as much memory as
 * `payload-memory.ts` keeps of payloads that were given back; a length is checked before memory is taken for it. Bytes that
 * are no frame throw PROTOCOL_ERROR, now and ever after: where the next frame begins is then unknown, and the connection
 * has to end.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import { FrameType, REPLY_FRAMES_MAX } from "./constants.ts";
import { FLAG_MORE, FRAME_HEADER_BYTES, type Frame } from "./frame.ts";
import { PayloadMemory } from "./payload-memory.ts";

export type { Frame } from "./frame.ts";

/** What is left of a payload is worth reading straight into it from this size on. */
const DIRECT_BYTES_MIN = 16 * 1024;

const REPLY_TYPES: ReadonlySet<number> = new Set([FrameType.ok, FrameType.error]);
const REQUEST_TYPES: ReadonlySet<number> = new Set(
  Object.values(FrameType).filter((type) => !REPLY_TYPES.has(type)),
);

export interface FrameReaderOptions {
  /** Payload of one frame; FRAME_BYTES_MAX_BEFORE_HELLO until HELLO is done, FRAME_BYTES_MAX then. */
  readonly bytesMax: number;
  /** What may come: a target reads requests, a source replies. Both where it is left out. */
  readonly takes?: "requests" | "replies";
}

export class FrameReader {
  /** May be changed at any time; it holds from the next frame on. */
  bytesMax: number;
  readonly #takes: "requests" | "replies" | undefined;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  readonly #memory = new PayloadMemory();
  #headerFilled = 0;
  /** Of the frame whose header is whole. */
  #payload: Uint8Array | undefined;
  #payloadFilled = 0;
  /** Payloads of the frames before, of one reply. */
  #before: Uint8Array[] = [];
  #beforeBytes = 0;
  #beforeId = 0;
  #error: RopewalkError | undefined;

  constructor(options: FrameReaderOptions) {
    this.bytesMax = options.bytesMax;
    this.#takes = options.takes;
  }

  /** Takes copies of what it needs. */
  push(bytes: Uint8Array): Frame[] {
    if (this.#error !== undefined) throw this.#error;
    const frames: Frame[] = [];
    for (let position = 0; position < bytes.length; ) {
      if (this.#payload === undefined) {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerFilled, bytes.length - position);
        this.#header.set(bytes.subarray(position, position + taken), this.#headerFilled);
        this.#headerFilled += taken;
        position += taken;
        if (this.#headerFilled === FRAME_HEADER_BYTES) this.#begin();
      } else {
        const taken = Math.min(this.#payload.length - this.#payloadFilled, bytes.length - position);
        this.#payload.set(bytes.subarray(position, position + taken), this.#payloadFilled);
        this.#payloadFilled += taken;
        position += taken;
      }
      this.#end(frames);
    }
    return frames;
  }

  /**
   * Memory for what is left of a large payload: the stream may read straight into it and say `filled` then. Undefined
   * where it is better to `push`.
   */
  target(): Uint8Array | undefined {
    if (this.#payload === undefined || this.#error !== undefined) return undefined;
    if (this.#payload.length - this.#payloadFilled < DIRECT_BYTES_MIN) return undefined;
    return this.#payload.subarray(this.#payloadFilled);
  }

  /**
   * Takes a payload back of which nobody looks at a byte any more: a later frame is read into the same memory. Whoever keeps
   * his payloads does not call it.
   */
  giveBack({ payload }: Frame): void {
    this.#memory.giveBack(payload);
  }

  /** Gives up what was given back: nothing large is expected for a while. */
  shrink(): void {
    this.#memory.clear();
  }

  /** `length` bytes from the start of `target()` were filled. */
  filled(length: number): Frame[] {
    assert(
      this.#payload !== undefined && length <= this.#payload.length - this.#payloadFilled,
      "a target was filled as far as it goes",
    );
    this.#payloadFilled += length;
    const frames: Frame[] = [];
    this.#end(frames);
    return frames;
  }

  /** The header is whole. */
  #begin(): void {
    const length = this.#view.getUint32(0, true);
    const type = this.#view.getUint8(4);
    const flags = this.#view.getUint8(5);
    const id = this.#view.getUint32(8, true);
    if (!this.#mayCome(type)) this.#fail(`a frame of type ${type} may not come here`);
    if (length > this.bytesMax)
      this.#fail(`a frame has ${length} bytes of payload, more than ${this.bytesMax}`);
    if (this.#view.getUint16(6, true) !== 0)
      this.#fail("a frame's header has a byte that must be zero and is not");
    if (flags !== 0 && !(flags === FLAG_MORE && type === FrameType.ok))
      this.#fail(`a frame of type ${type} has no flags ${flags}`);
    if (this.#before.length > 0) {
      if (type !== FrameType.ok || id !== this.#beforeId)
        this.#fail("another frame stands between those of one reply");
      if (this.#before.length === REPLY_FRAMES_MAX)
        this.#fail(`a reply has more than ${REPLY_FRAMES_MAX} frames`);
    }
    // An empty frame that says that more comes could be repeated for ever without a byte of reply.
    if (flags === FLAG_MORE && length === 0) this.#fail("a frame without payload says that more comes");
    this.#payload = this.#memory.take(length);
    this.#payloadFilled = 0;
  }

  /** Hands the frame out when it is whole. */
  #end(frames: Frame[]): void {
    const payload = this.#payload;
    if (payload === undefined || this.#payloadFilled < payload.length) return;
    const id = this.#view.getUint32(8, true);
    this.#headerFilled = 0;
    this.#payload = undefined;
    if (this.#view.getUint8(5) === FLAG_MORE) {
      this.#before.push(payload);
      this.#beforeBytes += payload.length;
      this.#beforeId = id;
      return;
    }
    frames.push({ type: this.#view.getUint8(4), id, payload: this.#joined(payload) });
  }

  #joined(last: Uint8Array): Uint8Array {
    if (this.#before.length === 0) return last;
    const whole = this.#memory.take(this.#beforeBytes + last.length);
    let position = 0;
    for (const payload of [...this.#before, last]) {
      whole.set(payload, position);
      position += payload.length;
    }
    this.#before = [];
    this.#beforeBytes = 0;
    return whole;
  }

  #mayCome(type: number): boolean {
    if (this.#takes !== "replies" && REQUEST_TYPES.has(type)) return true;
    return this.#takes !== "requests" && REPLY_TYPES.has(type);
  }

  #fail(sentence: string): never {
    this.#error = new RopewalkError("PROTOCOL_ERROR", sentence);
    this.#payload = undefined;
    this.#before = [];
    throw this.#error;
  }
}
