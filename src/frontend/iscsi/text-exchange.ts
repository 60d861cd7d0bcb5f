/**
 * Text requests of the full feature phase (RFC 7143, 11.10): SendTargets and what may still be declared.
 *
 * Always holds: one exchange at a time; a new one forgets the last. Lists stay within the limits both ways: a longer
 * answer is cut behind a whole target. Throws PROTOCOL_ERROR.
 */
import {
  encodeText,
  NO_TAG,
  RejectReason,
  TextCollector,
  type TextPair,
  type TextRequestPdu,
} from "../../wire/iscsi/mod.ts";
import { type DiscoveryWorld, sendTargets } from "./discovery.ts";
import type { IscsiLimits } from "./limits.ts";
import { OperationalNegotiation } from "./operational-keys.ts";
import type { ReplySender } from "./reply-sender.ts";

/** Longest answer; some ten thousand targets. */
const ANSWER_BYTES_MAX = 2 * 1024 * 1024;
const NOTHING = new Uint8Array(0);

export class TextExchange {
  readonly #sender: ReplySender;
  readonly #limits: IscsiLimits;
  readonly #discovery: () => DiscoveryWorld;
  #text: TextCollector;
  /** What is left of an answer. */
  #rest = NOTHING;
  #tag = 0;
  #isOpen = false;

  constructor(sender: ReplySender, limits: IscsiLimits, discovery: () => DiscoveryWorld) {
    this.#sender = sender;
    this.#limits = limits;
    this.#discovery = discovery;
    this.#text = this.#collector();
  }

  /** Answers a request; returns why it is rejected instead. */
  take(request: TextRequestPdu, data: Uint8Array): number | undefined {
    if (request.continues && request.final) return RejectReason.protocolError;
    if (request.targetTransferTag === NO_TAG) {
      this.#text = this.#collector();
      this.#rest = NOTHING;
      this.#tag = (this.#tag + 1) % NO_TAG;
    } else if (!this.#isOpen || request.targetTransferTag !== this.#tag) {
      return RejectReason.invalidPduField;
    }
    if (this.#rest.length > 0) {
      // Only an empty request fetches the rest (6.2).
      if (data.length > 0) return RejectReason.protocolError;
      this.#send(request, true);
      return undefined;
    }
    this.#text.add(data);
    if (request.continues) {
      this.#send(request, false);
      return undefined;
    }
    const pairs = this.#text.finish();
    if (new Set(pairs.map(([key]) => key)).size < pairs.length) return RejectReason.protocolError;
    this.#rest = encodeAnswer(pairs.flatMap(([key, value]) => this.#answer(key, value)));
    this.#send(request, request.final);
    return undefined;
  }

  #answer(key: string, value: string): readonly TextPair[] {
    if (key === "SendTargets") return sendTargets(value, this.#discovery()) ?? [[key, "Reject"]];
    const negotiation = new OperationalNegotiation(this.#limits);
    if (key === "MaxRecvDataSegmentLength") {
      const answer = negotiation.declareSegment(value);
      if (answer !== undefined) return [[key, answer]];
      this.#sender.parameters.initiatorSegmentBytes = negotiation.parameters.initiatorSegmentBytes;
      return [];
    }
    if (key === "InitiatorAlias") return [];
    const isKnown = negotiation.take(key, value, "normal") !== "NotUnderstood";
    return [[key, isKnown ? "Reject" : "NotUnderstood"]];
  }

  /** Sends as much of the answer as one PDU takes; `mayEnd`: nothing more is expected of the initiator. */
  #send(request: TextRequestPdu, mayEnd: boolean): void {
    const data = this.#rest.subarray(0, this.#sender.parameters.initiatorSegmentBytes);
    this.#rest = this.#rest.subarray(data.length);
    const continues = this.#rest.length > 0;
    const final = mayEnd && !continues;
    this.#isOpen = !final;
    this.#sender.text({
      initiatorTaskTag: request.initiatorTaskTag,
      targetTransferTag: final ? NO_TAG : this.#tag,
      data,
      final,
      continues,
    });
  }

  #collector(): TextCollector {
    return new TextCollector({ bytesMax: this.#limits.textBytesMax, pairsMax: this.#limits.textPairsMax });
  }
}

function encodeAnswer(pairs: readonly TextPair[]): Uint8Array<ArrayBuffer> {
  let bytes = 0;
  let end = pairs.length;
  for (let index = 0, target = 0; index < pairs.length; index++) {
    const [key, value] = pairs[index]!;
    if (key === "TargetName") target = index;
    bytes += key.length + Buffer.byteLength(value) + 2;
    if (bytes > ANSWER_BYTES_MAX) {
      end = target;
      break;
    }
  }
  return new Uint8Array(encodeText(pairs.slice(0, end)));
}
