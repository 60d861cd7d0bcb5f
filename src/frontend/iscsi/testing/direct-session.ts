/**
 * A tiny initiator in memory: it writes PDUs into a server's receiver and takes apart what comes back.
 *
 * Always holds: it does what it is told, also what the standard forbids; what came from the server is kept in its order.
 */
import { crc32c } from "../../../base/crc32c.ts";
import type { ByteStream, Peer, Random, StreamReceiver } from "../../../ports/mod.ts";
import {
  decodeTargetPdu,
  encodeText,
  LoginStage,
  loginRequestPdu,
  loginResponsePdu,
  type PduFields,
  type PduLayout,
  type PduOf,
  paddedBytes,
  scsiCommandPdu,
  type TargetPdu,
  TextCollector,
} from "../../../wire/iscsi/mod.ts";
import type {
  IscsiPortal,
  IscsiServer,
  IscsiTargetTable,
  OpenedTarget,
  TargetAuthentication,
} from "../mod.ts";
import { MemoryTarget } from "./memory-target.ts";

export const PORTAL: IscsiPortal = { address: "127.0.0.1:3260", portalGroupTag: 1, relativePort: 1 };
export const TARGET = "iqn.2026-11.io.ropewalk:vol0";
export const INITIATOR = "iqn.2026-11.io.example:host";
/** More than any chain of promises between a request and its answer has. */
const SETTLING_TURNS = 100;
const PEER: Peer = { kind: "tcp", loopback: true, description: "direct" };

/** Chance that is the same in every run. */
export const countingRandom: Random = {
  bytes: (length) => Uint8Array.from({ length }, (_, index) => index + 1),
};

/** One target, and how often it was opened and is open. */
export class OneTarget implements IscsiTargetTable {
  readonly scsi = new MemoryTarget(1024 * 1024);
  auth: TargetAuthentication = "none";
  openings = 0;
  openNow = 0;
  refusal: Error | undefined;

  list(): { name: string; alias: string }[] {
    return [{ name: TARGET, alias: "disk" }];
  }

  open(_name: string, _initiator: string): OpenedTarget {
    if (this.refusal !== undefined) throw this.refusal;
    this.openings++;
    this.openNow++;
    return {
      scsi: this.scsi,
      auth: this.auth,
      close: () => {
        this.openNow--;
        return Promise.resolve();
      },
    };
  }
}

export interface Received {
  readonly pdu: TargetPdu;
  readonly data: Buffer;
}

export class DirectSession implements ByteStream {
  readonly peer = PEER;
  readonly #receiver: StreamReceiver;
  readonly received: Received[] = [];
  #bytes = Buffer.alloc(0);
  /** The stream takes nothing more, as when nobody reads. */
  isStuck = false;
  isPaused = false;
  isEnded = false;
  isClosed = false;
  headerDigest = false;
  dataDigest = false;
  commandNumber = 100;
  #nextTag = 1;

  constructor(server: IscsiServer, portal: IscsiPortal = PORTAL) {
    const receiver = server.accept(PEER, portal);
    if (receiver === undefined) throw new Error("refused");
    this.#receiver = receiver;
    receiver.opened(this);
  }

  write(parts: readonly Uint8Array[]): boolean {
    this.#bytes = Buffer.concat([this.#bytes, ...parts]);
    while (this.#takePdu());
    return !this.isStuck;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  startTls(): void {
    throw new Error("iSCSI has no TLS");
  }

  end(): void {
    this.isEnded = true;
    this.destroy();
  }

  destroy(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    queueMicrotask(() => this.#receiver.closed(undefined));
  }

  drain(): void {
    this.isStuck = false;
    this.#receiver.drained();
  }

  /** Feeds bytes to the server, as many at a time as it takes. Returns when it has them, or closed. */
  async feed(bytes: Uint8Array, pieceBytesMax = Number.MAX_SAFE_INTEGER): Promise<void> {
    for (let at = 0, waits = 0; at < bytes.length && !this.isClosed; ) {
      if (this.isPaused) {
        if (++waits > 2000) throw new Error("a paused connection goes on");
        await settled();
        continue;
      }
      const target = this.#receiver.target();
      if (target.length === 0) throw new Error("a target is at least one byte long");
      const length = Math.min(target.length, bytes.length - at, pieceBytesMax);
      target.set(bytes.subarray(at, at + length));
      at += length;
      this.#receiver.received(length);
    }
    await settled();
  }

  async send<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
    fields: PduFields<Fields>,
    data: Uint8Array = Buffer.alloc(0),
  ): Promise<void> {
    await this.feed(this.encode(layout, fields, data));
  }

  encode<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
    fields: PduFields<Fields>,
    data: Uint8Array = Buffer.alloc(0),
  ): Buffer {
    const header = Buffer.alloc(48);
    layout.encode(viewOf(header), 0, fields);
    if (data.length > 0) header.writeUIntBE(data.length, 5, 3);
    const padded = Buffer.concat([data, Buffer.alloc(paddedBytes(data.length) - data.length)]);
    const sum = (bytes: Uint8Array, isOn: boolean) => {
      const digest = Buffer.alloc(isOn ? 4 : 0);
      if (isOn) digest.writeUInt32LE(crc32c(bytes));
      return digest;
    };
    return Buffer.concat([
      header,
      sum(header, this.headerDigest),
      padded,
      sum(padded, this.dataDigest && padded.length > 0),
    ]);
  }

  /** The next PDU of the server, of this layout; undefined when something else or nothing came. */
  async next<Opcode extends number, Fields extends object>(
    layout: PduLayout<Opcode, Fields>,
  ): Promise<{ readonly pdu: PduOf<PduLayout<Opcode, Fields>>; readonly data: Buffer }> {
    for (let turns = 0; turns < 50 && this.received.length === 0; turns++) await settled();
    const received = this.received.shift();
    if (received?.pdu.opcode !== layout.opcode)
      throw new Error(`expected opcode ${layout.opcode}, received ${JSON.stringify(received?.pdu)}`);
    return received as never;
  }

  nextTag(): number {
    return this.#nextTag++;
  }

  /** Sends one login request and returns the answer with its keys. */
  async loginStep(
    keys: Readonly<Record<string, string>>,
    stages: { readonly current: number; readonly next?: number },
    fields: PduFields<object> = {},
  ) {
    await this.send(
      loginRequestPdu,
      {
        immediate: true,
        transit: stages.next !== undefined,
        currentStage: stages.current,
        nextStage: stages.next ?? 0,
        isid: Uint8Array.of(0x80, 1, 2, 3, 4, 5),
        initiatorTaskTag: 0,
        connectionId: 1,
        commandNumber: this.commandNumber,
        ...fields,
      },
      encodeText(Object.entries(keys)),
    );
    const { pdu, data } = await this.next(loginResponsePdu);
    const collector = new TextCollector({ bytesMax: 65536, pairsMax: 100 });
    collector.add(data);
    return { pdu, keys: Object.fromEntries(collector.finish()) as Record<string, string> };
  }

  /** A whole login without security. */
  async login(keys: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
    const answer = await this.loginStep(
      { InitiatorName: INITIATOR, TargetName: TARGET, SessionType: "Normal", ...keys },
      { current: LoginStage.operational, next: LoginStage.fullFeature },
    );
    if (answer.pdu.status !== 0) throw new Error(`login failed: 0x${answer.pdu.status.toString(16)}`);
    this.headerDigest = answer.keys["HeaderDigest"] === "CRC32C";
    this.dataDigest = answer.keys["DataDigest"] === "CRC32C";
    return answer.keys;
  }

  /** Sends a command of its own number; returns its tag. */
  async command(cdb: readonly number[], fields: PduFields<object> = {}, data?: Uint8Array): Promise<number> {
    const initiatorTaskTag = this.nextTag();
    await this.send(
      scsiCommandPdu,
      {
        final: true,
        attribute: 1,
        initiatorTaskTag,
        commandNumber: this.commandNumber++,
        cdb: Uint8Array.from({ length: 16 }, (_, index) => cdb[index] ?? 0),
        ...fields,
      },
      data,
    );
    return initiatorTaskTag;
  }

  #takePdu(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 48) return false;
    const dataBytes = bytes.readUIntBE(5, 3);
    const headBytes = 48 + (this.headerDigest ? 4 : 0);
    const paddedLength = paddedBytes(dataBytes);
    const wholeBytes = headBytes + paddedLength + (this.dataDigest && dataBytes > 0 ? 4 : 0);
    if (bytes.length < wholeBytes) return false;
    if (this.headerDigest && crc32c(bytes.subarray(0, 48)) !== bytes.readUInt32LE(48))
      throw new Error("the server's header digest is wrong");
    const padded = bytes.subarray(headBytes, headBytes + paddedLength);
    if (wholeBytes > headBytes + paddedLength && crc32c(padded) !== bytes.readUInt32LE(wholeBytes - 4))
      throw new Error("the server's data digest is wrong");
    this.received.push({
      pdu: decodeTargetPdu(viewOf(bytes), 0),
      data: Buffer.from(padded.subarray(0, dataBytes)),
    });
    this.#bytes = Buffer.from(bytes.subarray(wholeBytes));
    return true;
  }
}

/** READ(10) and WRITE(10). */
export function read10(lba: number, blocks: number): number[] {
  return [0x28, 0, 0, 0, lba >> 8, lba & 255, 0, blocks >> 8, blocks & 255];
}

export function write10(lba: number, blocks: number): number[] {
  return [0x2a, ...read10(lba, blocks).slice(1)];
}

/** After all promises that are ready, and what they make ready: nothing here waits for the machine. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < SETTLING_TURNS; turns++) await Promise.resolve();
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
