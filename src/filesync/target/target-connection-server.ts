/**
 * Serves one accepted connection of a source: frames in, replies out.
 *
 * Always holds: at most `REQUESTS_MAX` requests and `BYTES_MAX` bytes of them are under way, then nothing more is read;
 * a peer that does not take its replies is not read from either. Bytes that are no frame, or break the protocol, end the
 * connection, after a reply that says why; so does a peer that says nothing for `SILENCE_MS`, or no HELLO in time.
 */

import { asRopewalkError, type RopewalkError } from "../../base/errors.ts";
import type { ByteStream, Clock, StreamReceiver, Timer } from "../../ports/mod.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_BYTES_MAX_BEFORE_HELLO,
  type Frame,
  FrameReader,
  packError,
  packReply,
  readRequest,
} from "../../wire/filesync/mod.ts";
import { StreamSender } from "../link/stream-sender.ts";
import { type Admission, TargetSession } from "./target-session.ts";

const REQUESTS_MAX = 256;
const BYTES_MAX = 64 * 2 ** 20;
const REPLY_BYTES_MAX = 64 * 2 ** 20;
const RECEIVE_BYTES = 64 * 1024;
const HELLO_MS = 10_000;
const SILENCE_MS = 90_000;

export interface TargetConnectionServerParts {
  readonly clock: Clock;
  readonly admission: Admission;
  /** The connection has ended, for what reason. */
  readonly ended: (error: RopewalkError | undefined) => void;
}

export class TargetConnectionServer {
  /** What the stream is given. */
  readonly receiver: StreamReceiver;
  readonly #parts: TargetConnectionServerParts;
  readonly #session: TargetSession;
  readonly #reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX_BEFORE_HELLO, takes: "requests" });
  readonly #sender = new StreamSender();
  readonly #memory = new Uint8Array(RECEIVE_BYTES);
  #stream: ByteStream | undefined;
  #isDirect = false;
  #requests = 0;
  #bytes = 0;
  #isPaused = false;
  #heardMs: number;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(parts: TargetConnectionServerParts) {
    this.#parts = parts;
    this.#session = new TargetSession(parts.admission);
    this.#heardMs = parts.clock.nowMs();
    this.receiver = {
      opened: (stream) => this.#opened(stream),
      target: () => this.#target(),
      received: (length) => this.#received(length),
      drained: () => {
        this.#sender.drained();
        this.#readOn();
      },
      secured: () => undefined,
      ended: () => this.close(),
      closed: () => this.#ended(undefined),
    };
  }

  close(): void {
    this.#sender.end();
    this.#ended(undefined);
  }

  #opened(stream: ByteStream): void {
    if (this.#isClosed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    this.#sender.opened(stream);
    this.#watch();
  }

  #target(): Uint8Array {
    const direct = this.#reader.target();
    this.#isDirect = direct !== undefined;
    return direct ?? this.#memory;
  }

  #received(length: number): void {
    if (this.#isClosed) return;
    this.#heardMs = this.#parts.clock.nowMs();
    try {
      const frames = this.#isDirect
        ? this.#reader.filled(length)
        : this.#reader.push(this.#memory.subarray(0, length));
      for (const frame of frames) void this.#answer(frame);
    } catch (error) {
      this.#refuse(0, asRopewalkError(error));
    }
    this.#readOn();
  }

  async #answer(frame: Frame): Promise<void> {
    const bytes = frame.payload.length;
    this.#requests += 1;
    this.#bytes += bytes;
    try {
      const request = readRequest(frame);
      const reply = await this.#session.handle(request);
      // Their bytes were written, or copied.
      if (request.type === "write" || request.type === "apply") this.#reader.giveBack(frame);
      // It comes now and then whatever else does: what is still needed is soon there again.
      else if (request.type === "keepAlive") this.#reader.shrink();
      if (this.#session.isAdmitted) this.#reader.bytesMax = FRAME_BYTES_MAX;
      if (!this.#isClosed) this.#sender.send(packReply(frame.id, reply));
    } catch (error) {
      this.#refuse(frame.id, asRopewalkError(error));
    } finally {
      this.#requests -= 1;
      this.#bytes -= bytes;
      this.#readOn();
    }
  }

  #refuse(id: number, error: RopewalkError): void {
    if (this.#isClosed) return;
    this.#sender.send(packError(id, error.code, error.message));
    const isEnd =
      error.code === "PROTOCOL_ERROR" || error.code === "PEER_VERSION" || !this.#session.isAdmitted;
    if (!isEnd) return;
    this.#sender.end();
    this.#ended(error);
  }

  #readOn(): void {
    const isTooMuch =
      this.#requests >= REQUESTS_MAX ||
      this.#bytes >= BYTES_MAX ||
      this.#sender.waitingBytes >= REPLY_BYTES_MAX;
    if (isTooMuch === this.#isPaused || this.#isClosed) return;
    this.#isPaused = isTooMuch;
    if (isTooMuch) this.#stream?.pause();
    else this.#stream?.resume();
  }

  #watch(): void {
    const { clock } = this.#parts;
    this.#timer = clock.after(HELLO_MS, () => {
      if (this.#isClosed) return;
      const silentMs = clock.nowMs() - this.#heardMs;
      const isSilent = !this.#session.isAdmitted && this.#requests === 0;
      if (isSilent || (silentMs >= SILENCE_MS && this.#requests === 0)) {
        this.#sender.destroy();
        this.#ended(undefined);
      } else this.#watch();
    });
  }

  #ended(error: RopewalkError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    void this.#session.close().finally(() => this.#parts.ended(error));
  }
}
