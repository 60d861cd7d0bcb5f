/**
 * The transmission phase of one connection: requests in, replies out.
 *
 * Always holds: a request is answered exactly once; a flush is handed to the device after every write that was
 * answered before; a payload stays in its chunk, untouched, until the device is done with it; no request
 * begins while the connection is over one of its limits (`waitsFor` says which).
 * The path of a read or write that the device ends at once makes no promise and no closure.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type BlockDevice, type Completion, RequestFlag } from "../../device/mod.ts";
import {
  CHUNK_DONE,
  Command,
  CommandFlag,
  decodeExtendedRequest,
  decodePlainRequest,
  type HeaderFormat,
  RequestHeader,
  requestHeaderBytes,
  requestPayloadBytes,
} from "../../wire/nbd/mod.ts";
import type { ByteAccount, ByteRequest, ChunkPool, ReceiveWindow, ReplyQueue } from "../stream/mod.ts";
import type { SelectedContext } from "./block-status.ts";
import { warmCache } from "./cache-request.ts";
import type { NbdCounters } from "./counters.ts";
import type { ReplyFormat } from "./export-facts.ts";
import type { NbdLimits } from "./limits.ts";
import { PendingRequest } from "./pending-request.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { chargeOf, type Refusal, RequestRules } from "./request-rules.ts";
import { RequestsInWork } from "./requests-in-work.ts";
import { type ReadRange, SPARSE_READ_BYTES_MIN, SparseRead, sparseRanges } from "./sparse-read.ts";
import { type StatusRequest, statusBytesMax, statusChunks, statusRequest } from "./status-request.ts";

/** What a connection is given when its handshake is over. */
export interface TransmissionStart {
  readonly device: BlockDevice;
  readonly format: ReplyFormat;
  readonly contexts: readonly SelectedContext[];
}

export interface TransmissionWorld {
  readonly window: ReceiveWindow;
  readonly replies: ReplyQueue;
  readonly account: ByteAccount;
  readonly pool: ChunkPool;
  readonly limits: NbdLimits;
  readonly counters: NbdCounters;
  /** Something ended outside `advance`: replies may have gathered, limits may be met again. */
  readonly progressed: () => void;
}

/** A header; then room in the account; then the payload (or its end, when it is refused); then the device. */
type Stage = "header" | "admission" | "payload" | "refusal";

/** More than this is no client's honest mistake, and is not swallowed. */
const REFUSED_PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
/** After so many requests of one turn their replies leave, so that the client works beside us (measured: +5 %). */
const FLUSH_REQUESTS = 8;
/** When so much has gathered the client may begin to read while the next request is in work. */
export const FLUSH_BYTES = 256 * 1024;

export class Transmission {
  readonly #device: BlockDevice;
  readonly #contexts: readonly SelectedContext[];
  readonly #headerFormat: HeaderFormat;
  readonly #headerBytes: number;
  readonly #rules: RequestRules;
  readonly #sparse: boolean;
  readonly #window: ReceiveWindow;
  readonly #replies: ReplyQueue;
  readonly #writer: ReplyWriter;
  readonly #world: TransmissionWorld;
  readonly #header = new RequestHeader();
  readonly #work: RequestsInWork;
  #sinceFlush = 0;
  #stage: Stage = "header";
  #payloadBytes = 0;
  #charge = 0;
  /** The request at hand waits for memory. */
  #awaited: ByteRequest | undefined;
  #refusal: Refusal | undefined;
  #open = true;
  /** What keeps it from taking the next request although its bytes may be there. */
  waitsFor: "nothing" | "replies" | "requests" | "memory" = "nothing";

  constructor(start: TransmissionStart, world: TransmissionWorld) {
    this.#device = start.device;
    this.#contexts = start.contexts;
    this.#headerFormat = start.format === "extended" ? "extended" : "plain";
    this.#headerBytes = requestHeaderBytes(this.#headerFormat);
    this.#rules = new RequestRules(start.device, start.format, start.contexts.length);
    this.#sparse = start.format !== "simple" && start.device.capabilities.extents !== "absent";
    this.#world = world;
    this.#window = world.window;
    this.#replies = world.replies;
    this.#writer = new ReplyWriter(world.replies, start.format);
    this.#work = new RequestsInWork(world, this.#writer);
  }

  /** Requests that the device has in work. */
  get inFlight(): number {
    return this.#work.count;
  }

  /** The client has said goodbye, or broke off: no more requests. */
  get ended(): boolean {
    return !this.#open;
  }

  /** The client has begun a payload, and the rest of it is still to come. */
  get isOwedPayload(): boolean {
    if (this.#stage === "refusal") return true;
    return this.#stage === "payload" && this.#payloadBytes > this.#window.availableBytes;
  }

  /** Bytes of the account that are held for the rest of a payload. */
  get payloadCharge(): number {
    return this.#stage === "payload" ? this.#charge : 0;
  }

  /** Takes no more requests, and gives up one that waits for memory or whose payload is still coming. */
  stop(): void {
    this.#open = false;
    if (this.#awaited !== undefined) this.#world.account.cancel(this.#awaited);
    this.#awaited = undefined;
    if (this.#stage === "payload" && this.#charge > 0) this.#world.account.give(this.#charge);
    this.#stage = "header";
  }

  /** Works off what has arrived, as far as it goes. Throws PROTOCOL_ERROR. */
  advance(): void {
    const window = this.#window;
    this.waitsFor = "nothing";
    while (this.#open) {
      if (this.#stage === "header") {
        if (this.#congested()) return;
        if (window.end - window.start < this.#headerBytes) {
          window.want(this.#headerBytes);
          return;
        }
        if (this.#headerFormat === "plain") decodePlainRequest(window.chunk.view, window.start, this.#header);
        else decodeExtendedRequest(window.chunk.view, window.start, this.#header);
        window.consume(this.#headerBytes);
        this.#world.counters.requests++;
        this.#check();
      }
      if (this.#stage === "refusal") {
        this.#payloadBytes -= window.skip(this.#payloadBytes);
        if (this.#payloadBytes > 0) return;
        this.#stage = "header";
        this.#work.refuse(this.#header, this.#refusal!);
        continue;
      }
      if (this.#stage === "admission") {
        if (this.#charge > 0 && !this.#admitted()) {
          this.waitsFor = "memory";
          return;
        }
        this.#stage = "payload";
      }
      if (this.#payloadBytes > window.end - window.start) {
        window.want(this.#payloadBytes);
        return;
      }
      this.#stage = "header";
      this.#execute();
    }
  }

  #admitted(): boolean {
    const { account, progressed } = this.#world;
    if (this.#awaited !== undefined) return false;
    if (account.take(this.#charge)) return true;
    this.#awaited = {
      bytes: this.#charge,
      granted: () => {
        this.#awaited = undefined;
        this.#stage = "payload";
        progressed();
      },
    };
    account.request(this.#awaited);
    return false;
  }

  #congested(): boolean {
    if (++this.#sinceFlush >= FLUSH_REQUESTS || this.#replies.gatheredBytes >= FLUSH_BYTES) {
      this.#sinceFlush = 0;
      this.#replies.flush();
    }
    if (this.#replies.queuedBytes >= this.#world.limits.replyBytesMax) this.waitsFor = "replies";
    else if (this.#work.count >= this.#world.limits.requestsMax) this.waitsFor = "requests";
    else return false;
    return true;
  }

  /** Decides what becomes of the request whose header was just decoded. */
  #check(): void {
    const header = this.#header;
    this.#payloadBytes = requestPayloadBytes(header, this.#headerFormat);
    this.#charge = 0;
    this.#refusal = this.#rules.refusal(header, this.#payloadBytes);
    if (this.#refusal === undefined) {
      this.#charge =
        header.type === Command.blockStatus
          ? statusBytesMax(header, this.#contexts.length)
          : chargeOf(header);
      this.#stage = "admission";
      return;
    }
    if (this.#payloadBytes > REFUSED_PAYLOAD_BYTES_MAX)
      throw new RopewalkError(
        "PROTOCOL_ERROR",
        `a refused request announces ${this.#payloadBytes} bytes of payload`,
      );
    this.#stage = "refusal";
  }

  /** Hands the admitted request, whose payload is there, to the device. */
  #execute(): void {
    const header = this.#header;
    try {
      switch (header.type) {
        case Command.read:
          this.#read();
          return;
        case Command.write:
          this.#write();
          return;
        case Command.flush:
          this.#ending(this.#device.flush());
          return;
        case Command.trim:
          this.#ending(this.#device.trim(header.offset, header.length, fuaOf(header.flags)));
          return;
        case Command.writeZeroes:
          this.#ending(this.#device.zero(header.offset, header.length, zeroFlags(header.flags)));
          return;
        case Command.cache:
          this.#ending(warmCache(this.#device, this.#world.pool, header.offset, header.length));
          return;
        case Command.blockStatus:
          this.#blockStatus();
          return;
        case Command.disconnect:
          this.#open = false;
      }
    } catch (error) {
      if (this.#charge > 0) this.#world.account.give(this.#charge);
      this.#work.failWith(header, error);
    }
  }

  #read(): void {
    const header = this.#header;
    const { offset, length } = header;
    this.#world.counters.bytesRead += length;
    if (length === 0) {
      this.#writer.done(header);
      return;
    }
    if (this.#sparse && length >= SPARSE_READ_BYTES_MIN && (header.flags & CommandFlag.dontFragment) === 0) {
      const ranges = sparseRanges(this.#device, offset, length);
      if (ranges !== undefined) {
        this.#readSparsely(ranges);
        return;
      }
    }
    const headBytes = this.#writer.readHeadBytes;
    const bytes = headBytes + length;
    const chunk = this.#replies.reserve(bytes);
    const position = this.#replies.position;
    const completion = this.#device.read(
      offset,
      chunk.bytes.subarray(position + headBytes, position + bytes),
    );
    this.#writer.readHead(chunk.view, position, header, header, CHUNK_DONE);
    if (completion === undefined) {
      this.#replies.commit(bytes, this.#charge);
      return;
    }
    const request = new PendingRequest(header, this.#charge);
    request.region = this.#replies.detach(bytes);
    this.#work.pend(completion, request);
  }

  #write(): void {
    const header = this.#header;
    const { start, chunk } = this.#window;
    const source = chunk.bytes.subarray(start, start + header.length);
    this.#window.consume(header.length);
    const completion = this.#device.write(header.offset, source, fuaOf(header.flags));
    this.#world.counters.bytesWritten += header.length;
    if (completion === undefined) {
      if (this.#charge > 0) this.#world.account.give(this.#charge);
      this.#writer.done(header);
      return;
    }
    const request = new PendingRequest(header, this.#charge);
    request.payload = chunk;
    chunk.retain();
    this.#work.pend(completion, request);
  }

  #ending(completion: Completion): void {
    if (completion === undefined) this.#writer.done(this.#header);
    else this.#work.pend(completion, new PendingRequest(this.#header, 0));
  }

  #readSparsely(ranges: readonly ReadRange[] | Promise<readonly ReadRange[] | undefined>): void {
    const request = new PendingRequest(this.#header, this.#charge);
    if (ranges instanceof Promise) {
      this.#work.track(this.#readLater(ranges, request));
      return;
    }
    const read = new SparseRead(ranges, this.#replies, this.#writer);
    let completion: Promise<void> | undefined;
    try {
      completion = read.begin(this.#device);
    } catch (error) {
      read.drop();
      throw error;
    }
    if (completion === undefined) read.answer(request);
    else this.#work.track(this.#endSparseRead(read, completion, request));
  }

  async #readLater(
    ranges: Promise<readonly ReadRange[] | undefined>,
    request: PendingRequest,
  ): Promise<void> {
    const { offset, length } = request;
    let read: SparseRead;
    try {
      const known = (await ranges) ?? [{ offset, length, kind: "data" as const }];
      read = new SparseRead(known, this.#replies, this.#writer);
    } catch (error) {
      this.#work.failed(request, error);
      return;
    }
    await this.#endSparseRead(read, undefined, request);
  }

  /** Answers when the data is there; without `completion` the reading begins here. */
  async #endSparseRead(
    read: SparseRead,
    completion: Promise<void> | undefined,
    request: PendingRequest,
  ): Promise<void> {
    try {
      await (completion ?? read.begin(this.#device));
      read.answer(request);
    } catch (error) {
      read.drop();
      this.#work.failed(request, error);
    }
  }

  #blockStatus(): void {
    const header = this.#header;
    let payload: Uint8Array | undefined;
    if ((header.flags & CommandFlag.payloadLength) !== 0) {
      const { start, chunk } = this.#window;
      payload = chunk.bytes.subarray(start, start + this.#payloadBytes);
      this.#window.consume(this.#payloadBytes);
    }
    const request = statusRequest(header, this.#contexts, this.#rules, payload);
    if ("errno" in request) {
      this.#world.account.give(this.#charge);
      this.#work.refuse(header, request);
      return;
    }
    this.#work.track(this.#answerStatus(new PendingRequest(header, this.#charge), request));
  }

  async #answerStatus(pending: PendingRequest, request: StatusRequest): Promise<void> {
    const format = this.#writer.format === "extended" ? "extended" : "structured";
    try {
      const chunks = await statusChunks(this.#device, request, pending, format);
      chunks.forEach((chunk, index) => {
        this.#replies.append(chunk, index === 0 ? pending.charge : 0);
      });
    } catch (error) {
      this.#work.failed(pending, error);
    }
  }
}

function fuaOf(flags: number): number {
  return (flags & CommandFlag.fua) !== 0 ? RequestFlag.fua : RequestFlag.none;
}

function zeroFlags(flags: number): number {
  return (
    fuaOf(flags) |
    ((flags & CommandFlag.noHole) !== 0 ? RequestFlag.noHole : 0) |
    ((flags & CommandFlag.fastZero) !== 0 ? RequestFlag.fast : 0)
  );
}
