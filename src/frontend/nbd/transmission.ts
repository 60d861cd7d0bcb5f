/**
 * The transmission phase of one connection: requests in, replies out.
 *
 * Always holds: a request is answered exactly once; a flush is handed to the device after every write that was
 * answered before; a payload stays in its chunk, untouched, until the device is done with it; no request
 * begins while the connection is over one of its limits (`waitsFor` says which).
 * The path of a read or write that the device ends at once makes no promise and no closure.
 */
import { Errno, RopewalkError } from "../../base/errors.ts";
import { type BlockDevice, type Completion, RequestFlag } from "../../device/mod.ts";
import {
  BLOCK_STATUS_FILTER_BYTES_MAX,
  CHUNK_DONE,
  Command,
  CommandFlag,
  decodeExtendedRequest,
  decodePlainRequest,
  encodeBlockStatus,
  type HeaderFormat,
  parseBlockStatusFilter,
  RequestHeader,
  requestHeaderBytes,
  requestPayloadBytes,
} from "../../wire/nbd/mod.ts";
import { type BlockStatusRequest, blockStatus, type SelectedContext } from "./block-status.ts";
import type { ByteAccount } from "./byte-budget.ts";
import { warmCache } from "./cache-request.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { NbdCounters } from "./counters.ts";
import {
  allowedFlags,
  deviceError,
  exportFacts,
  payloadBytesMax,
  type ReplyFormat,
  wireErrno,
} from "./export-facts.ts";
import type { NbdLimits } from "./limits.ts";
import { PendingGroup, PendingRequest } from "./pending-request.ts";
import type { ReceiveWindow } from "./receive-window.ts";
import type { ReplyQueue } from "./reply-queue.ts";
import { ReplyWriter } from "./reply-writer.ts";
import { type ReadRange, SPARSE_READ_BYTES_MIN, sparseRanges } from "./sparse-read.ts";

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
/** When so much has gathered the client may begin to read while the next request is in work. */
const FLUSH_BYTES = 256 * 1024;

export class Transmission {
  readonly #device: BlockDevice;
  readonly #contexts: readonly SelectedContext[];
  readonly #headerFormat: HeaderFormat;
  readonly #headerBytes: number;
  readonly #allowed: Int32Array;
  readonly #payloadBytesMax: number;
  readonly #blockMask: number;
  readonly #sparse: boolean;
  readonly #window: ReceiveWindow;
  readonly #replies: ReplyQueue;
  readonly #writer: ReplyWriter;
  readonly #world: TransmissionWorld;
  readonly #header = new RequestHeader();
  readonly #groups: (PendingGroup | undefined)[] = new Array(8).fill(undefined);
  #stage: Stage = "header";
  #payloadBytes = 0;
  #charge = 0;
  #refusalErrno = 0;
  #refusal = "";
  #open = true;
  /** Requests that the device has in work. */
  inFlight = 0;
  /** What keeps it from taking the next request although its bytes may be there. */
  waitsFor: "nothing" | "replies" | "requests" | "memory" = "nothing";

  constructor(start: TransmissionStart, world: TransmissionWorld) {
    this.#device = start.device;
    this.#contexts = start.contexts;
    this.#headerFormat = start.format === "extended" ? "extended" : "plain";
    this.#headerBytes = requestHeaderBytes(this.#headerFormat);
    this.#allowed = allowedFlags(exportFacts(start.device, start.format), start.format);
    this.#payloadBytesMax = payloadBytesMax(start.device);
    this.#blockMask = start.device.geometry.minimumBlockBytes - 1;
    this.#sparse = start.format !== "simple" && start.device.capabilities.extents !== "absent";
    this.#world = world;
    this.#window = world.window;
    this.#replies = world.replies;
    this.#writer = new ReplyWriter(world.replies, start.format);
  }

  /** The client has said goodbye, or broke off: no more requests. */
  get ended(): boolean {
    return !this.#open;
  }

  /** Bytes of a payload that are still to come; undefined when none is being received. */
  get missingPayloadBytes(): number | undefined {
    if (this.#stage === "refusal") return this.#payloadBytes;
    return this.#stage === "payload" ? this.#payloadBytes - this.#window.availableBytes : undefined;
  }

  /** Takes no more requests, and gives up one whose payload is still coming. */
  stop(): void {
    this.#open = false;
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
        if (window.end - window.start < this.#headerBytes) return window.want(this.#headerBytes);
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
        this.#fail(this.#header, this.#refusalErrno, this.#refusal);
        continue;
      }
      if (this.#stage === "admission") {
        if (this.#charge > 0 && !this.#world.account.take(this.#charge)) {
          this.waitsFor = "memory";
          return;
        }
        this.#stage = "payload";
      }
      if (this.#payloadBytes > window.end - window.start) return window.want(this.#payloadBytes);
      this.#stage = "header";
      this.#execute();
    }
  }

  #congested(): boolean {
    if (this.#replies.gatheredBytes >= FLUSH_BYTES) this.#replies.flush();
    if (this.#replies.queuedBytes >= this.#world.limits.replyBytesMax) this.waitsFor = "replies";
    else if (this.inFlight >= this.#world.limits.requestsMax) this.waitsFor = "requests";
    else return false;
    return true;
  }

  /** Decides what becomes of the request whose header was just decoded. */
  #check(): void {
    const { type, flags, offset, length } = this.#header;
    this.#payloadBytes = requestPayloadBytes(this.#header, this.#headerFormat);
    this.#charge = 0;
    this.#stage = "admission";
    const allowed = type < this.#allowed.length ? this.#allowed[type]! : -1;
    if (allowed < 0) return this.#refuse(Errno.EINVAL, `command ${type} is not offered`);
    if ((flags & ~allowed) !== 0)
      return this.#refuse(Errno.EINVAL, `command ${type} does not take flags ${flags}`);
    switch (type) {
      case Command.read:
        if (length > this.#payloadBytesMax)
          return this.#refuse(Errno.EINVAL, "the read is longer than the largest payload");
        this.#charge = length;
        return this.#checkRange(offset, length, Errno.EINVAL);
      case Command.write:
        if (!this.#device.capabilities.writable) return this.#refuse(Errno.EPERM, "the export is read-only");
        if (length > this.#payloadBytesMax)
          return this.#refuse(Errno.EINVAL, "the write is longer than the largest payload");
        this.#charge = length;
        return this.#checkRange(offset, length, Errno.ENOSPC);
      case Command.trim:
        if (!this.#device.capabilities.writable) return this.#refuse(Errno.EPERM, "the export is read-only");
        return this.#checkRange(offset, length, Errno.EINVAL);
      case Command.writeZeroes:
        if (!this.#device.capabilities.writable) return this.#refuse(Errno.EPERM, "the export is read-only");
        return this.#checkRange(offset, length, Errno.ENOSPC);
      case Command.cache:
        return this.#checkRange(offset, length, Errno.EINVAL);
      case Command.blockStatus:
        if (this.#contexts.length === 0) return this.#refuse(Errno.EINVAL, "no meta context was selected");
        if (this.#payloadBytes > BLOCK_STATUS_FILTER_BYTES_MAX)
          return this.#refuse(Errno.EINVAL, "the filter is too long");
        // With a filter the length stands in the payload and is checked there.
        if (this.#payloadBytes > 0 || (flags & CommandFlag.payloadLength) !== 0) return;
        if (length === 0) return this.#refuse(Errno.EINVAL, "a block status of no bytes has no extent");
        return this.#checkRange(offset, length, Errno.EINVAL);
    }
  }

  #checkRange(offset: number, length: number, beyondErrno: number): void {
    if (offset + length > this.#device.sizeBytes)
      this.#refuse(beyondErrno, "the range ends beyond the export");
    else if (this.#blockMask !== 0 && ((offset % (this.#blockMask + 1)) | (length & this.#blockMask)) !== 0)
      this.#refuse(Errno.EINVAL, `offset and length must be multiples of ${this.#blockMask + 1}`);
  }

  #refuse(errno: number, sentence: string): void {
    if (this.#payloadBytes > REFUSED_PAYLOAD_BYTES_MAX)
      throw new RopewalkError(
        "PROTOCOL_ERROR",
        `a refused request announces ${this.#payloadBytes} bytes of payload`,
      );
    this.#stage = "refusal";
    this.#refusalErrno = errno;
    this.#refusal = sentence;
  }

  /** Hands the admitted request, whose payload is there, to the device. */
  #execute(): void {
    const header = this.#header;
    try {
      switch (header.type) {
        case Command.read:
          return this.#read();
        case Command.write:
          return this.#write();
        case Command.flush:
          return this.#ending(this.#device.flush());
        case Command.trim:
          return this.#ending(this.#device.trim(header.offset, header.length, fuaOf(header.flags)));
        case Command.writeZeroes:
          return this.#ending(this.#device.zero(header.offset, header.length, zeroFlags(header.flags)));
        case Command.cache:
          return this.#ending(warmCache(this.#device, this.#world.pool, header.offset, header.length));
        case Command.blockStatus:
          return this.#blockStatus();
        case Command.disconnect:
          this.#open = false;
      }
    } catch (error) {
      if (this.#charge > 0) this.#world.account.give(this.#charge);
      this.#failWith(header, error);
    }
  }

  #read(): void {
    const header = this.#header;
    const { offset, length } = header;
    if (length === 0) return this.#writer.done(header);
    if (this.#sparse && length >= SPARSE_READ_BYTES_MIN && (header.flags & CommandFlag.dontFragment) === 0) {
      const ranges = sparseRanges(this.#device, offset, length);
      if (ranges instanceof Promise)
        return this.#track(this.#readAfter(ranges, new PendingRequest(header, this.#charge)));
      if (ranges !== undefined) return this.#readRanges(ranges, new PendingRequest(header, this.#charge));
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
    this.#world.counters.bytesRead += length;
    if (completion === undefined) return this.#replies.commit(bytes, this.#charge);
    const request = new PendingRequest(header, this.#charge);
    request.region = this.#replies.detach(bytes);
    this.#pend(completion, request);
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
      return this.#writer.done(header);
    }
    const request = new PendingRequest(header, this.#charge);
    request.payload = chunk;
    chunk.retain();
    this.#pend(completion, request);
  }

  #ending(completion: Completion): void {
    if (completion === undefined) this.#writer.done(this.#header);
    else this.#pend(completion, new PendingRequest(this.#header, 0));
  }

  /** The request ends with `completion`, together with others of its kind that were given the same promise. */
  #pend(completion: Promise<void>, request: PendingRequest): void {
    this.inFlight++;
    let group = this.#groups[request.type];
    if (group === undefined || group.promise !== completion) {
      const fresh = new PendingGroup(completion);
      group = fresh;
      this.#groups[request.type] = fresh;
      const settled = (error: unknown) => this.#complete(fresh, error);
      completion.then(
        () => settled(undefined),
        (error) => settled(error ?? new Error("no reason given")),
      );
    }
    group.requests.push(request);
  }

  #complete(group: PendingGroup, error: unknown): void {
    const first = group.requests[0]!;
    if (this.#groups[first.type] === group) this.#groups[first.type] = undefined;
    this.inFlight -= group.requests.length;
    for (const request of group.requests) {
      request.payload?.release();
      const region = request.region;
      if (region !== undefined && error === undefined) {
        this.#replies.attach(region, request.charge);
        continue;
      }
      if (region !== undefined) this.#replies.drop(region);
      if (request.charge > 0) this.#world.account.give(request.charge);
      if (error === undefined) this.#writer.done(request);
      else this.#failWith(request, error);
    }
    this.#world.progressed();
  }

  /** Counts work that answers for itself as a request in work. */
  #track(work: Promise<void>): void {
    this.inFlight++;
    void work.then(() => {
      this.inFlight--;
      this.#world.progressed();
    });
  }

  async #readAfter(
    ranges: Promise<readonly ReadRange[] | undefined>,
    request: PendingRequest,
  ): Promise<void> {
    try {
      const whole: ReadRange[] = [{ offset: request.offset, length: request.length, kind: "data" }];
      this.#readRanges((await ranges) ?? whole, request);
    } catch (error) {
      this.#world.account.give(request.charge);
      this.#failWith(request, error);
    }
  }

  /** Answers a read with a chunk for each range. Nothing is sent before all data is there, so no chunk can fail. */
  #readRanges(ranges: readonly ReadRange[], request: PendingRequest): void {
    const headBytes = this.#writer.readHeadBytes;
    const waiting: Promise<void>[] = [];
    const chunks = ranges.map((range) => {
      if (range.kind === "hole") return undefined;
      const bytes = headBytes + range.length;
      this.#replies.reserve(bytes);
      return this.#replies.detach(bytes);
    });
    const drop = () => {
      for (const region of chunks) if (region !== undefined) this.#replies.drop(region);
    };
    const answer = () => {
      const last = ranges.length - 1;
      ranges.forEach((range, index) => {
        const flags = index === last ? CHUNK_DONE : 0;
        const charge = index === last ? request.charge : 0;
        const region = chunks[index];
        if (region === undefined) this.#writer.readHole(request, range, flags, charge);
        else {
          this.#writer.readHead(region.chunk.view, region.start, request, range, flags);
          this.#replies.attach(region, charge);
        }
      });
      this.#world.counters.bytesRead += request.length;
    };
    try {
      ranges.forEach((range, index) => {
        const region = chunks[index];
        if (region === undefined) return;
        const target = region.chunk.bytes.subarray(
          region.start + headBytes,
          region.start + region.lengthBytes,
        );
        const completion = this.#device.read(range.offset, target);
        if (completion !== undefined) waiting.push(completion);
      });
    } catch (error) {
      void Promise.allSettled(waiting).then(drop);
      throw error;
    }
    if (waiting.length === 0) return answer();
    const failed = (error: unknown) => {
      void Promise.allSettled(waiting).then(drop);
      this.#world.account.give(request.charge);
      this.#failWith(request, error);
    };
    this.#track(Promise.all(waiting).then(answer, failed));
  }

  #blockStatus(): void {
    const header = this.#header;
    let contexts = this.#contexts;
    let length = header.length;
    if ((header.flags & CommandFlag.payloadLength) !== 0) {
      const { start, chunk } = this.#window;
      const filter = parseBlockStatusFilter(chunk.bytes.subarray(start, start + this.#payloadBytes));
      this.#window.consume(this.#payloadBytes);
      contexts = this.#contexts.filter((context) => filter?.contextIds.includes(context.id));
      if (filter === undefined || filter.contextIds.length !== contexts.length || contexts.length === 0)
        return this.#fail(header, Errno.EINVAL, "the filter names contexts that were not selected");
      length = filter.lengthBytes;
      if (length === 0 || header.offset + length > this.#device.sizeBytes)
        return this.#fail(header, Errno.EINVAL, "the filter's range is empty or ends beyond the export");
    }
    const one = (header.flags & CommandFlag.requestOne) !== 0;
    const request: BlockStatusRequest = { offset: header.offset, length, answer: one ? "one" : "many" };
    this.#track(this.#answerStatus(new PendingRequest(header, 0), contexts, request));
  }

  async #answerStatus(
    request: PendingRequest,
    contexts: readonly SelectedContext[],
    range: BlockStatusRequest,
  ): Promise<void> {
    const format = this.#writer.format === "extended" ? "extended" : "structured";
    try {
      const chunks: Buffer[] = [];
      for (const [index, context] of contexts.entries()) {
        const extents = await blockStatus(this.#device, context, range, format);
        const flags = index === contexts.length - 1 ? CHUNK_DONE : 0;
        chunks.push(encodeBlockStatus(request, format, { contextId: context.id, extents, flags }));
      }
      for (const chunk of chunks) this.#replies.append(chunk);
    } catch (error) {
      this.#failWith(request, error);
    }
  }

  #failWith(request: RequestHeader | PendingRequest, cause: unknown): void {
    const error = deviceError(cause);
    this.#fail(request, wireErrno(error, request), `${error.code}: ${error.message}`);
  }

  #fail(request: RequestHeader | PendingRequest, errno: number, sentence: string): void {
    this.#world.counters.failedRequests++;
    this.#writer.failed(request, errno, sentence);
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
