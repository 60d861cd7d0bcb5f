/**
 * Operational parameters of a session and how they are negotiated (RFC 7143, section 13).
 *
 * Always holds: each key is negotiated once; a value that is not of the key's form or out of its range is answered with
 * Reject and changes nothing; what is not negotiated has the standard's default.
 */
import { DEFAULT_DATA_SEGMENT_BYTES, textBoolean, textNumber } from "../../wire/iscsi/mod.ts";
import type { IscsiLimits } from "./limits.ts";

/** As negotiated, or the standard's defaults. */
export interface SessionParameters {
  headerDigest: boolean;
  dataDigest: boolean;
  /** MaxRecvDataSegmentLength of the initiator. */
  initiatorSegmentBytes: number;
  initialR2T: boolean;
  immediateData: boolean;
  burstBytes: number;
  firstBurstBytes: number;
  readyToTransferMax: number;
}

export type SessionType = "normal" | "discovery";

const NOT_UNDERSTOOD = "NotUnderstood";
const REJECT = "Reject";
const IRRELEVANT = "Irrelevant";

const SEGMENT_BYTES_MIN = 512;
const SEGMENT_BYTES_MAX = 0xff_ffff;

/** Keys that mean nothing in a discovery session (13, "Irrelevant when SessionType=Discovery"). */
const NORMAL_ONLY: ReadonlySet<string> = new Set([
  "MaxConnections",
  "InitialR2T",
  "ImmediateData",
  "MaxBurstLength",
  "FirstBurstLength",
  "MaxOutstandingR2T",
  "DataPDUInOrder",
  "DataSequenceInOrder",
  "iSCSIProtocolLevel",
]);

export class OperationalNegotiation {
  readonly parameters: SessionParameters = {
    headerDigest: false,
    dataDigest: false,
    initiatorSegmentBytes: DEFAULT_DATA_SEGMENT_BYTES,
    initialR2T: true,
    immediateData: true,
    burstBytes: 262_144,
    firstBurstBytes: 65_536,
    readyToTransferMax: 1,
  };
  readonly #limits: IscsiLimits;
  #hasFirstBurst = false;

  constructor(limits: IscsiLimits) {
    this.#limits = limits;
  }

  /** Takes an offer or declaration; returns the answer, undefined where none is due. */
  take(key: string, value: string, type: SessionType): string | undefined {
    if (type === "discovery" && NORMAL_ONLY.has(key)) return IRRELEVANT;
    const limits = this.#limits;
    const parameters = this.parameters;
    switch (key) {
      case "HeaderDigest":
        return this.#digest(value, (isOn) => (parameters.headerDigest = isOn));
      case "DataDigest":
        return this.#digest(value, (isOn) => (parameters.dataDigest = isOn));
      case "MaxRecvDataSegmentLength":
        return this.declareSegment(value);
      case "InitialR2T":
        return boolean(value, (offer) => (parameters.initialR2T = offer));
      case "ImmediateData":
        return boolean(value, (offer) => (parameters.immediateData = offer));
      case "MaxBurstLength":
        return smaller(value, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX, limits.burstBytesMax, (bytes) => {
          parameters.burstBytes = bytes;
        });
      case "FirstBurstLength":
        return smaller(value, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX, limits.firstBurstBytesMax, (bytes) => {
          parameters.firstBurstBytes = bytes;
          this.#hasFirstBurst = true;
        });
      case "MaxOutstandingR2T":
        return smaller(value, 1, 65535, limits.readyToTransferMax, (requests) => {
          parameters.readyToTransferMax = requests;
        });
      case "MaxConnections":
        return smaller(value, 1, 65535, 1);
      case "ErrorRecoveryLevel":
        return smaller(value, 0, 2, 0);
      case "DefaultTime2Retain":
        return smaller(value, 0, 3600, 0);
      case "iSCSIProtocolLevel":
        return smaller(value, 0, 31, 1);
      case "DefaultTime2Wait": {
        const seconds = numberWithin(value, 0, 3600);
        return seconds === undefined ? REJECT : String(seconds);
      }
      // Both are ORs, and the answer is always in order.
      case "DataPDUInOrder":
      case "DataSequenceInOrder":
        return textBoolean(value) === undefined ? REJECT : "Yes";
      case "TaskReporting":
        return value.split(",").includes("RFC3720") ? "RFC3720" : REJECT;
      // 13.25: obsolete, and not to be answered with NotUnderstood.
      case "IFMarker":
      case "OFMarker":
        return textBoolean(value) === undefined ? REJECT : "No";
      case "IFMarkInt":
      case "OFMarkInt":
        return REJECT;
      default:
        return NOT_UNDERSTOOD;
    }
  }

  /** MaxRecvDataSegmentLength, which is declared, not negotiated, and may change later. */
  declareSegment(value: string): string | undefined {
    const bytes = numberWithin(value, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
    if (bytes === undefined) return REJECT;
    this.parameters.initiatorSegmentBytes = bytes;
    return undefined;
  }

  /** What was negotiated, once all of it was; undefined when it does not fit together. */
  settle(): SessionParameters | undefined {
    const { parameters } = this;
    const { initialR2T, immediateData, firstBurstBytes, burstBytes } = parameters;
    if (firstBurstBytes <= burstBytes) return parameters;
    // Without unsolicited data the first burst means nothing (13.14), and the default is no offer.
    const isMeant = this.#hasFirstBurst && !(initialR2T && !immediateData);
    if (isMeant) return undefined;
    parameters.firstBurstBytes = burstBytes;
    return parameters;
  }

  #digest(value: string, set: (isOn: boolean) => void): string {
    const offered = value.split(",").find((name) => name === "CRC32C" || name === "None");
    if (offered === undefined) return REJECT;
    set(offered === "CRC32C");
    return offered;
  }
}

/** Both Booleans go as the initiator offers: ours are InitialR2T=No (an OR) and ImmediateData=Yes (an AND). */
function boolean(value: string, set: (offer: boolean) => void): string {
  const offer = textBoolean(value);
  if (offer === undefined) return REJECT;
  set(offer);
  return value;
}

/** The smaller of the offer and ours. */
function smaller(
  value: string,
  offerMin: number,
  offerMax: number,
  ours: number,
  set?: (result: number) => void,
): string {
  const offer = numberWithin(value, offerMin, offerMax);
  if (offer === undefined) return REJECT;
  const result = Math.min(offer, ours);
  set?.(result);
  return String(result);
}

function numberWithin(value: string, min: number, max: number): number | undefined {
  const number = textNumber(value);
  return number !== undefined && number >= min && number <= max ? number : undefined;
}
