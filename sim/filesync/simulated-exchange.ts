/**
 * The source's end of a simulated connection: requests become frames and replies values, by the codec of the wire.
 * Always holds: what `Exchange` promises; a dead source is told nothing any more.
 */
import { Deferred } from "../../src/base/deferred.ts";
import { RopewalkError } from "../../src/base/errors.ts";
import type { Exchange } from "../../src/filesync/mod.ts";
import {
  FRAME_BYTES_MAX,
  type Frame,
  FrameReader,
  packRequest,
  type ReplyTo,
  type Request,
  readReply,
} from "../../src/wire/filesync/mod.ts";
import type { SimulatedProcess } from "../simulated-clock.ts";
import type { NetworkEnd, SimulatedWire } from "./simulated-network.ts";

interface Waiting {
  readonly type: Request["type"];
  readonly reply: Deferred<ReplyTo<Request["type"]>>;
}

const changing: ReadonlySet<Request["type"]> = new Set(["apply", "begin", "write", "keep", "commit"]);

export class SimulatedExchange implements Exchange {
  /** What the network is given. */
  readonly end: NetworkEnd;
  sentBytes = 0;
  receivedBytes = 0;
  progress = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #closed = new Deferred<RopewalkError | undefined>();
  #wire: SimulatedWire | undefined;
  #nextId = 1;
  #isOver = false;

  constructor(process: SimulatedProcess) {
    this.end = {
      isAlive: () => !process.dead && !this.#isOver,
      reader: new FrameReader({ bytesMax: FRAME_BYTES_MAX, takes: "replies" }),
      took: (frame) => this.#took(frame),
      ended: () => {
        if (!process.dead) this.#end(new RopewalkError("UNREACHABLE", "The connection was cut."));
      },
    };
  }

  opened(wire: SimulatedWire): void {
    this.#wire = wire;
  }

  /** Requests that change the target and are not answered. */
  get changes(): number {
    let count = 0;
    for (const { type } of this.#waiting.values()) if (changing.has(type)) count++;
    return count;
  }

  get closed(): Promise<RopewalkError | undefined> {
    return this.#closed.promise;
  }

  ask<Type extends Request["type"]>(request: Extract<Request, { type: Type }>): Promise<ReplyTo<Type>> {
    if (this.#isOver || this.#wire === undefined)
      return Promise.reject(new RopewalkError("UNREACHABLE", "The connection has ended."));
    const id = this.#nextId++;
    const reply = new Deferred<ReplyTo<Request["type"]>>();
    // Copied: whoever asks may use the memory of a request again once it is answered, and not before; the network has it
    // longer.
    const parts = packRequest(id, request).map((part) => new Uint8Array(part));
    for (const { length } of parts) this.sentBytes += length;
    this.#waiting.set(id, { type: request.type, reply });
    this.#wire.send("target", parts, () => this.progress++);
    return reply.promise as Promise<ReplyTo<Type>>;
  }

  close(): void {
    this.#leave(undefined);
  }

  abandon(reason: RopewalkError): void {
    this.#leave(reason);
  }

  #leave(reason: RopewalkError | undefined): void {
    if (this.#isOver) return;
    this.#end(reason);
    this.#wire?.close();
  }

  #took(frame: Frame): void {
    this.progress++;
    this.receivedBytes += frame.payload.length;
    const waiting = this.#waiting.get(frame.id);
    if (waiting === undefined) throw new Error(`nobody asked what reply ${frame.id} answers`);
    this.#waiting.delete(frame.id);
    const reply = readReply(frame, waiting.type);
    if (reply instanceof RopewalkError) waiting.reply.reject(reply);
    else waiting.reply.resolve(reply);
  }

  #end(reason: RopewalkError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const error = reason ?? new RopewalkError("UNREACHABLE", "The connection was closed.");
    for (const { reply } of this.#waiting.values()) reply.reject(error);
    this.#waiting.clear();
    this.#closed.resolve(reason);
  }
}
