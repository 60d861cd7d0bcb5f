/**
 * One connection to an NBD server: the handshake, then requests side by side, matched to replies by cookie.
 *
 * Always holds: at most `requestsMax` requests are under way, the others wait in line; bytes of a read go straight
 * into its target and nowhere else; after an error of the connection everything outstanding fails with it, and
 * nothing more is sent.
 * Errors: IO_ERROR when the server goes away or breaks the protocol, TIMEOUT when it does not answer in time; errors of single requests by code.
 */
import { connect, type Socket } from "node:net";
import { BoundedQueue } from "../../base/bounded-queue.ts";
import { type ErrorCode, RopewalkError } from "../../base/errors.ts";
import type { Clock, Timer } from "../../ports/mod.ts";
import {
  Chunk,
  Command,
  encodePlainRequest,
  isErrorChunk,
  type NbdUri,
  parseBlockStatus,
  parseChunkOffset,
  parseErrorChunk,
  parseOffsetHole,
  parseReplyHeader,
  type ReplyHeader,
  replyHeaderBytes,
  type StatusExtent,
} from "../../wire/nbd/mod.ts";
import { type ExportFacts, shakeHands } from "./handshake.ts";

const WAITING_MAX = 65_536;
/** How often overdue replies are looked for. */
const CHECK_INTERVAL_MS = 1_000;

export interface ConnectionLimits {
  readonly handshakeTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly requestsMax: number;
}

export interface NbdRequest {
  /** Command and CommandFlags. */
  readonly type: number;
  readonly flags: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** A write's bytes, or where a read's go. */
  readonly bytes?: Uint8Array | undefined;
}

interface Pending {
  readonly request: NbdRequest;
  readonly resolve: (extents: readonly StatusExtent[]) => void;
  readonly reject: (error: unknown) => void;
  sentAtMs: number;
  receivedBytes: number;
  extents: readonly StatusExtent[];
  failure: RopewalkError | undefined;
}

/** What the server says of a single request. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  1: "READ_ONLY",
  28: "NO_SPACE",
  75: "TOO_LARGE",
  95: "UNSUPPORTED",
};

export class NbdConnection {
  readonly facts: ExportFacts;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: ConnectionLimits;
  readonly #pending = new Map<number, Pending>();
  readonly #line = new BoundedQueue<Pending>(WAITING_MAX);
  readonly #timer: { current: Timer | undefined } = { current: undefined };
  #cookie = 0;
  #over: RopewalkError | undefined;
  /** Where the next bytes go, how many are there, and what follows when it is full. */
  #sink: Uint8Array = Buffer.alloc(4);
  #sinkBytes = 0;
  #full: () => void = () => this.#beginHeader();

  private constructor(socket: Socket, facts: ExportFacts, clock: Clock, limits: ConnectionLimits) {
    this.#socket = socket;
    this.facts = facts;
    this.#clock = clock;
    this.#limits = limits;
    socket.on("data", (bytes: Buffer) => this.#arrived(bytes));
    socket.on("error", (error) => this.#end(`the connection broke: ${error.message}`, error));
    socket.on("close", () => this.#end("the server closed the connection"));
    // The handshake paused it.
    socket.resume();
  }

  /** Connects, shakes hands, goes to the export. IO_ERROR, TIMEOUT, NOT_FOUND, UNSUPPORTED */
  static async open(uri: NbdUri, clock: Clock, limits: ConnectionLimits): Promise<NbdConnection> {
    const { address } = uri;
    const socket =
      address.kind === "unix"
        ? connect(address.path)
        : connect({ host: address.host, port: address.port, noDelay: true, keepAlive: true });
    let timer: Timer | undefined;
    try {
      const overdue = new Promise<never>((_, reject) => {
        timer = clock.after(limits.handshakeTimeoutMs, () =>
          reject(
            new RopewalkError("TIMEOUT", `The NBD server was not ready in ${limits.handshakeTimeoutMs} ms.`),
          ),
        );
      });
      const facts = await Promise.race([shakeHands(socket, uri.exportName), overdue]);
      return new NbdConnection(socket, facts, clock, limits);
    } catch (error) {
      socket.on("error", () => {});
      socket.destroy();
      throw error;
    } finally {
      timer?.cancel();
    }
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** Extents of a BLOCK_STATUS, of everything else none. */
  request(request: NbdRequest): Promise<readonly StatusExtent[]> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      const pending: Pending = {
        request,
        resolve,
        reject,
        sentAtMs: 0,
        receivedBytes: 0,
        extents: [],
        failure: undefined,
      };
      if (this.#pending.size < this.#limits.requestsMax) this.#send(pending);
      else if (!this.#line.push(pending))
        reject(new RopewalkError("TOO_MANY", `${WAITING_MAX} requests wait for the NBD server already.`));
    });
  }

  /** Says goodbye; resolves when the socket is closed. Nothing may be outstanding. */
  async close(): Promise<void> {
    if (this.#over === undefined) {
      const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
      const disconnect = { type: Command.disconnect, flags: 0, cookie: 0, offsetBytes: 0, lengthBytes: 0 };
      this.#socket.end(encodePlainRequest(disconnect));
      const timer = this.#clock.after(this.#limits.handshakeTimeoutMs, () => this.#socket.destroy());
      await closed;
      timer.cancel();
    }
    this.#end("the connection was closed");
  }

  #send(pending: Pending): void {
    const { type, flags, offsetBytes, lengthBytes, bytes } = pending.request;
    do this.#cookie = (this.#cookie + 1) >>> 0;
    while (this.#pending.has(this.#cookie));
    pending.sentAtMs = this.#clock.nowMs();
    this.#pending.set(this.#cookie, pending);
    const header = encodePlainRequest({ type, flags, cookie: this.#cookie, offsetBytes, lengthBytes });
    if (type === Command.write && bytes !== undefined) {
      this.#socket.cork();
      this.#socket.write(header);
      this.#socket.write(bytes);
      this.#socket.uncork();
    } else this.#socket.write(header);
    if (this.#timer.current === undefined) this.#checkLater();
  }

  #checkLater(): void {
    const delayMs = Math.min(CHECK_INTERVAL_MS, this.#limits.requestTimeoutMs / 2);
    this.#timer.current = this.#clock.after(delayMs, () => {
      this.#timer.current = undefined;
      // The first was sent first.
      const [oldest] = this.#pending.values();
      if (oldest === undefined || this.#over !== undefined) return;
      const { requestTimeoutMs } = this.#limits;
      if (this.#clock.nowMs() - oldest.sentAtMs < requestTimeoutMs) this.#checkLater();
      else
        this.#endWith(
          new RopewalkError("TIMEOUT", `The NBD server did not answer for ${requestTimeoutMs} ms.`),
        );
    });
  }

  #arrived(bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length && this.#over === undefined; ) {
        const length = Math.min(bytes.length - at, this.#sink.length - this.#sinkBytes);
        this.#sink.set(bytes.subarray(at, at + length), this.#sinkBytes);
        this.#sinkBytes += length;
        at += length;
        if (this.#sinkBytes === this.#sink.length) this.#full();
      }
    } catch (error) {
      const sentence = error instanceof Error ? error.message : String(error);
      this.#end(`the server broke the protocol: ${sentence}`, error);
    }
  }

  #expect(sink: Uint8Array, full: () => void, haveBytes = 0): void {
    this.#sink = sink;
    this.#sinkBytes = haveBytes;
    this.#full = full;
    if (sink.length === haveBytes) full();
  }

  #expectReply(): void {
    this.#expect(Buffer.alloc(4), () => this.#beginHeader());
  }

  #beginHeader(): void {
    const start = this.#sink;
    const header = Buffer.alloc(replyHeaderBytes(Buffer.from(start).readUInt32BE(0)));
    header.set(start);
    this.#expect(header, () => this.#header(parseReplyHeader(header)), start.length);
  }

  #header(header: ReplyHeader): void {
    const pending = this.#pending.get(header.cookie);
    if (pending === undefined) throw violation("a reply is to no request");
    const { request } = pending;
    if (header.kind === "chunk") {
      this.#chunk(header, pending);
      return;
    }
    if (header.errno !== 0) pending.failure = failureOf(header.errno, "");
    const isRead = request.type === Command.read && header.errno === 0;
    if (isRead && this.facts.isStructured) throw violation("a simple reply to a structured read");
    if (!isRead) {
      this.#done(header.cookie, pending);
      return;
    }
    pending.receivedBytes = request.lengthBytes;
    this.#expect(request.bytes!, () => this.#done(header.cookie, pending));
  }

  #chunk(header: Extract<ReplyHeader, { kind: "chunk" }>, pending: Pending): void {
    if (!this.facts.isStructured) throw violation("a chunk, although none was agreed on");
    const next = (): void => {
      if (header.isLast) this.#done(header.cookie, pending);
      else this.#expectReply();
    };
    if (header.type === Chunk.offsetData) {
      const offset = Buffer.alloc(8);
      this.#expect(offset, () => {
        const lengthBytes = header.lengthBytes - offset.length;
        this.#expect(targetOf(pending, parseChunkOffset(offset), lengthBytes), next);
      });
      return;
    }
    const content = Buffer.alloc(header.lengthBytes);
    this.#expect(content, () => {
      if (isErrorChunk(header.type)) {
        const { errno, sentence } = parseErrorChunk(content);
        pending.failure ??= failureOf(errno, sentence);
      } else if (header.type === Chunk.offsetHole) {
        const { offsetBytes, lengthBytes } = parseOffsetHole(content);
        targetOf(pending, offsetBytes, lengthBytes).fill(0);
      } else if (header.type === Chunk.blockStatus) {
        if (pending.request.type !== Command.blockStatus) throw violation("extents that nobody asked for");
        const { contextId, extents } = parseBlockStatus(content);
        if (contextId === this.facts.allocationContextId) pending.extents = extents;
      }
      next();
    });
  }

  #done(cookie: number, pending: Pending): void {
    const { request, failure } = pending;
    if (
      request.type === Command.read &&
      failure === undefined &&
      pending.receivedBytes !== request.lengthBytes
    )
      throw violation("a read was answered in part");
    this.#pending.delete(cookie);
    if (failure === undefined) pending.resolve(pending.extents);
    else pending.reject(failure);
    const next = this.#line.shift();
    if (next !== undefined) this.#send(next);
    this.#expectReply();
  }

  #end(sentence: string, cause?: unknown): void {
    this.#endWith(new RopewalkError("IO_ERROR", `NBD: ${sentence}.`, { cause }));
  }

  #endWith(error: RopewalkError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#timer.current?.cancel();
    this.#socket.destroy();
    const outstanding = [...this.#pending.values()];
    this.#pending.clear();
    for (let next = this.#line.shift(); next !== undefined; next = this.#line.shift()) outstanding.push(next);
    for (const { reject } of outstanding) reject(error);
  }
}

/** The part of a read's target that a chunk fills. */
function targetOf(pending: Pending, offsetBytes: number, lengthBytes: number): Uint8Array {
  const { request } = pending;
  const start = offsetBytes - request.offsetBytes;
  const isInside = request.type === Command.read && start >= 0 && start + lengthBytes <= request.lengthBytes;
  if (!isInside) throw violation("bytes outside what was asked for");
  pending.receivedBytes += lengthBytes;
  return request.bytes!.subarray(start, start + lengthBytes);
}

function failureOf(errno: number, sentence: string): RopewalkError {
  const said = sentence === "" ? "" : `: ${sentence}`;
  return new RopewalkError(
    CODES[errno] ?? "IO_ERROR",
    `The NBD server failed a request with errno ${errno}${said}.`,
  );
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", sentence);
}
