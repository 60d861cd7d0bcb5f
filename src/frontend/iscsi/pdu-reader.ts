/**
 * Takes PDUs out of what arrives: header, additional headers, data segment, each with its digest.
 *
 * Always holds: a header is decoded once, and only after its digest was right; the data segment stands in one
 * piece, in the window or in the memory that the sink chose. Throws PROTOCOL_ERROR, after which nobody knows where
 * the next PDU begins.
 */
import { crc32c } from "../../base/crc32c.ts";
import { RopewalkError } from "../../base/errors.ts";
import {
  type AdditionalHeaders,
  BASIC_HEADER_BYTES,
  DIGEST_BYTES,
  decodeAdditionalHeaders,
  decodeInitiatorPdu,
  type InitiatorPdu,
  isInitiatorOpcode,
  NO_ADDITIONAL_HEADERS,
  opcodeAt,
  paddedBytes,
} from "../../wire/iscsi/mod.ts";
import type { Chunk, ReceiveWindow } from "../stream/mod.ts";

/** Where a data segment is to go. */
export type SegmentPlace = "window" | "discard" | { readonly chunk: Chunk; readonly position: number };

/** A data segment that arrived. */
export interface Segment {
  readonly bytes: Uint8Array;
  /** The window's chunk that it stands in, for whoever keeps it; undefined: it stands where the sink wanted it. */
  readonly chunk: Chunk | undefined;
  /** False when its digest was wrong. */
  readonly isIntact: boolean;
}

export interface PduSink {
  /** Whether the next PDU may be taken. */
  ready(): boolean;
  /** A PDU with a data segment has begun. */
  place(pdu: InitiatorPdu, additional: AdditionalHeaders): SegmentPlace;
  /** A PDU is complete; `segment` only holds until this returns, unless its chunk is retained. */
  take(pdu: InitiatorPdu, additional: AdditionalHeaders, segment: Segment): void;
  /** A PDU with an opcode that no initiator has. */
  unknown(): void;
}

const NOTHING = new Uint8Array(0);
const NO_SEGMENT: Segment = { bytes: NOTHING, chunk: undefined, isIntact: true };

export class PduReader {
  readonly #window: ReceiveWindow;
  /** Longest data segment; the rest is no honest mistake. */
  segmentBytesMax: number;
  headerDigest = false;
  dataDigest = false;
  /** The basic header of the PDU that was taken last, for a reject. */
  readonly lastHeader = Buffer.alloc(BASIC_HEADER_BYTES);
  #pdu: InitiatorPdu | undefined;
  #additional: AdditionalHeaders = NO_ADDITIONAL_HEADERS;
  #place: SegmentPlace | undefined;
  #dataBytes = 0;
  /** What is still to be thrown away. */
  #discardBytes = 0;
  #directDone = false;

  constructor(window: ReceiveWindow, segmentBytesMax: number) {
    this.#window = window;
    this.segmentBytesMax = segmentBytesMax;
  }

  /** The header of a PDU is there, or part of it, and the rest is not. */
  get isInside(): boolean {
    return this.#place !== undefined || this.#window.availableBytes > 0;
  }

  /** The memory that a data segment is arriving in, where the sink wanted it. */
  get arrivingChunk(): Chunk | undefined {
    return typeof this.#place === "object" ? this.#place.chunk : undefined;
  }

  /** Works off what has arrived, as far as `sink` takes it. Throws PROTOCOL_ERROR. */
  advance(sink: PduSink): void {
    while (this.#place !== undefined || sink.ready()) {
      if (this.#place === undefined && !this.#header(sink)) return;
      if (this.#place !== undefined && !this.#segment(sink)) return;
    }
  }

  /** Takes a header; false when it is not all there. */
  #header(sink: PduSink): boolean {
    const window = this.#window;
    if (window.availableBytes < BASIC_HEADER_BYTES) {
      window.want(BASIC_HEADER_BYTES);
      return false;
    }
    const { view, bytes } = window.chunk;
    const start = window.start;
    const additionalBytes = view.getUint8(start + 4) * 4;
    const headersBytes = BASIC_HEADER_BYTES + additionalBytes;
    const wholeBytes = headersBytes + (this.headerDigest ? DIGEST_BYTES : 0);
    if (window.availableBytes < wholeBytes) {
      window.want(wholeBytes);
      return false;
    }
    if (this.headerDigest) {
      const sum = crc32c(bytes.subarray(start, start + headersBytes));
      if (sum !== view.getUint32(start + headersBytes, true)) throw violation("a header's digest is wrong");
    }
    this.#dataBytes = view.getUint32(start + 4) & 0xff_ffff;
    if (this.#dataBytes > this.segmentBytesMax)
      throw violation(`a data segment of ${this.#dataBytes} bytes, above ${this.segmentBytesMax}`);
    bytes.copy(this.lastHeader, 0, start, start + BASIC_HEADER_BYTES);
    const isKnown = isInitiatorOpcode(opcodeAt(view, start));
    this.#pdu = isKnown ? decodeInitiatorPdu(view, start) : undefined;
    this.#additional =
      additionalBytes === 0
        ? NO_ADDITIONAL_HEADERS
        : decodeAdditionalHeaders(bytes.subarray(start + BASIC_HEADER_BYTES, start + headersBytes));
    window.consume(wholeBytes);
    if (this.#dataBytes > 0) this.#begin(sink);
    else if (this.#pdu === undefined) sink.unknown();
    else sink.take(this.#pdu, this.#additional, NO_SEGMENT);
    return true;
  }

  #begin(sink: PduSink): void {
    this.#directDone = false;
    this.#place = this.#pdu === undefined ? "discard" : sink.place(this.#pdu, this.#additional);
    if (this.#place === "discard") this.#discardBytes = paddedBytes(this.#dataBytes) + this.#digestBytes;
    else if (this.#place !== "window")
      this.#window.direct(this.#place.chunk, this.#place.position, this.#dataBytes);
  }

  /** Takes the data segment and hands on its PDU; false when it is not all there. */
  #segment(sink: PduSink): boolean {
    const window = this.#window;
    const place = this.#place!;
    if (place === "discard") {
      this.#discardBytes -= window.skip(this.#discardBytes);
      if (this.#discardBytes > 0) return false;
      this.#place = undefined;
      if (this.#pdu === undefined) sink.unknown();
      return true;
    }
    const paddingBytes = paddedBytes(this.#dataBytes) - this.#dataBytes;
    const inWindowBytes = place === "window" ? this.#dataBytes : 0;
    if (place !== "window" && !this.#directDone) {
      this.#directDone = window.directDone();
      if (!this.#directDone) return false;
    }
    const restBytes = inWindowBytes + paddingBytes + this.#digestBytes;
    if (window.availableBytes < restBytes) {
      window.want(restBytes);
      return false;
    }
    const { chunk, start } = window;
    const bytes =
      place === "window"
        ? chunk.bytes.subarray(start, start + this.#dataBytes)
        : place.chunk.bytes.subarray(place.position, place.position + this.#dataBytes);
    let isIntact = true;
    if (this.dataDigest) {
      const behind = start + inWindowBytes;
      const padding = chunk.bytes.subarray(behind, behind + paddingBytes);
      isIntact = crc32c(padding, crc32c(bytes)) === chunk.view.getUint32(behind + paddingBytes, true);
    }
    window.consume(restBytes);
    this.#place = undefined;
    sink.take(this.#pdu!, this.#additional, {
      bytes,
      chunk: place === "window" ? chunk : undefined,
      isIntact,
    });
    return true;
  }

  get #digestBytes(): number {
    return this.dataDigest ? DIGEST_BYTES : 0;
  }
}

function violation(sentence: string): RopewalkError {
  return new RopewalkError("PROTOCOL_ERROR", sentence);
}
