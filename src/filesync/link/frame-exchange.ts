/**
 * The source's end of a connection: requests as frames over a byte stream.
 *
 * Always holds: each request has one reply with its id; of replies at most one is in memory before it is whole. Whether
 * the other end is alive is for others to judge, by `progress`. UNREACHABLE, PROTOCOL_ERROR, and what `abandon` says: the
 * connection has ended, and all that waits is told so.
 */
import { Deferred } from "../../base/deferred.ts";
import { asRopewalkError, RopewalkError } from "../../base/errors.ts";
import { releaseMemory } from "../../base/release-memory.ts";
import type { ByteStream, StreamReceiver } from "../../ports/mod.ts";
import {
  FRAME_BYTES_MAX,
  type Frame,
  FrameReader,
  packRequest,
  type ReplyTo,
  type Request,
  readReply,
} from "../../wire/filesync/mod.ts";
import type { Exchange } from "./exchange.ts";
import { StreamSender } from "./stream-sender.ts";

const RECEIVE_BYTES = 64 * 1024;

interface Waiting {
  readonly type: Request["type"];
  readonly reply: Deferred<ReplyTo<Request["type"]>>;
  /** Of an `apply`: given back when it is answered, if the stream has taken all up to `endBytes`. */
  readonly bundle: Uint8Array | undefined;
  readonly endBytes: number;
}

export class FrameExchange implements Exchange {
  /** What the stream is given. */
  readonly receiver: StreamReceiver;
  readonly closed: Promise<RopewalkError | undefined>;
  /** Resolves when there is a stream. */
  readonly ready: Promise<void>;
  receivedBytes = 0;
  readonly #peer: string;
  readonly #reader = new FrameReader({ bytesMax: FRAME_BYTES_MAX, takes: "replies" });
  readonly #memory = new Uint8Array(RECEIVE_BYTES);
  readonly #waiting = new Map<number, Waiting>();
  readonly #ready = new Deferred<void>();
  readonly #closed = new Deferred<RopewalkError | undefined>();
  readonly #sender = new StreamSender();
  #isDirect = false;
  #isProcess = false;
  #nextId = 1;
  #error: RopewalkError | undefined;
  #isClosed = false;

  /** `peer`: for sentences of errors, as `ropewalk://HOST:PORT/NAME`. */
  constructor(peer: string) {
    this.#peer = peer;
    this.closed = this.#closed.promise;
    this.ready = this.#ready.promise;
    this.receiver = {
      opened: (stream) => this.#opened(stream),
      target: () => this.#target(),
      received: (length) => this.#received(length),
      drained: () => this.#sender.drained(),
      secured: () => undefined,
      ended: () => this.#over(),
      closed: (error) => this.#break(this.#reasonOf(error)),
    };
  }

  get sentBytes(): number {
    return this.#sender.sentBytes;
  }

  get progress(): number {
    return this.receivedBytes + this.#sender.takenBytes;
  }

  abandon(reason: RopewalkError): void {
    this.#break(reason);
  }

  ask<Type extends Request["type"]>(request: Extract<Request, { type: Type }>): Promise<ReplyTo<Type>> {
    if (this.#isClosed) return Promise.reject(this.#error ?? this.#unreachable("the connection was closed"));
    const id = this.#nextId;
    // After some billions the numbers begin again; those of then have long been answered.
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    const parts = packRequest(id, request);
    const reply = new Deferred<ReplyTo<Request["type"]>>();
    const bundle = "bundle" in request ? request.bundle : undefined;
    const endBytes = this.#sender.acceptedBytes + totalBytes(parts);
    this.#waiting.set(id, { type: request.type, reply, bundle, endBytes });
    this.#sender.send(parts);
    return reply.promise as Promise<ReplyTo<Type>>;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#ended(undefined);
    this.#sender.end();
  }

  // ---- the stream ----

  #opened(stream: ByteStream): void {
    if (this.#isClosed) {
      stream.destroy();
      return;
    }
    this.#isProcess = stream.peer.kind === "process";
    this.#sender.opened(stream);
    this.#ready.resolve();
  }

  #target(): Uint8Array {
    const direct = this.#reader.target();
    this.#isDirect = direct !== undefined;
    return direct ?? this.#memory;
  }

  #received(length: number): void {
    if (this.#isClosed) return;
    this.receivedBytes += length;
    try {
      const frames = this.#isDirect
        ? this.#reader.filled(length)
        : this.#reader.push(this.#memory.subarray(0, length));
      for (const frame of frames) this.#take(frame);
    } catch (error) {
      this.#break(asRopewalkError(error));
    }
  }

  #take(frame: Frame): void {
    const waiting = this.#waiting.get(frame.id);
    if (waiting === undefined)
      throw new RopewalkError(
        "PROTOCOL_ERROR",
        `The target answered request ${frame.id}, which nobody asked.`,
      );
    // Whose reply cannot be read still waits, and hears of the end.
    const reply = readReply(frame, waiting.type);
    this.#waiting.delete(frame.id);
    // A target that answers too early must not be sent what others put into this memory meanwhile.
    if (waiting.bundle !== undefined && this.#sender.takenBytes >= waiting.endBytes)
      releaseMemory(waiting.bundle);
    if (reply instanceof RopewalkError) waiting.reply.reject(reply);
    else waiting.reply.resolve(reply);
  }

  /** The end of a program says why, a moment after its last byte. */
  #over(): void {
    if (this.#isProcess) this.#sender.end();
    else this.#break(this.#unreachable("the target closed the connection"));
  }

  #break(error: RopewalkError): void {
    if (this.#isClosed) return;
    this.#ended(error);
    this.#sender.destroy();
  }

  #ended(error: RopewalkError | undefined): void {
    this.#isClosed = true;
    this.#error = error;
    const reason = error ?? this.#unreachable("the connection was closed");
    for (const { reply } of this.#waiting.values()) reply.reject(reason);
    this.#waiting.clear();
    this.#ready.reject(reason);
    this.#closed.resolve(error);
  }

  /** What the way to the target says (UNAUTHORIZED, TIMEOUT) is passed on. */
  #reasonOf(error: Error | undefined): RopewalkError {
    if (error instanceof RopewalkError)
      return new RopewalkError(error.code, `${this.#peer}: ${error.message}`, { cause: error });
    return this.#unreachable(error?.message ?? "the connection ended");
  }

  #unreachable(what: string): RopewalkError {
    return new RopewalkError("UNREACHABLE", `${this.#peer}: ${what}.`);
  }
}

function totalBytes(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}
