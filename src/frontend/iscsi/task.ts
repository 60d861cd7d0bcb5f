/**
 * One SCSI command from its arrival to its response, as the device server sees it and as the transport does.
 *
 * Always holds: memory and the shares of accounts that it holds are given back exactly once, by `release`; a task
 * that is over is answered by nobody.
 */
import { assert } from "../../base/assert.ts";
import type { AdditionalHeaders, ScsiCommandPdu } from "../../wire/iscsi/mod.ts";
import { lunNumber, TaskAttribute } from "../../wire/iscsi/mod.ts";
import type { ByteAccount, ByteRequest, Chunk, ChunkPool } from "../stream/mod.ts";
import type { DataOutTransfer } from "./data-out-transfer.ts";
import type { ScsiCommand, ScsiNexus, ScsiReply } from "./scsi-target.ts";

/**
 * collecting: data-out is coming; waiting: for its turn or memory; running: with the device server; over: answered
 * or aborted.
 */
export type TaskState = "collecting" | "waiting" | "running" | "over";

const NOTHING = new Uint8Array(0);

export class Task implements ScsiCommand {
  readonly nexus: ScsiNexus;
  readonly lun: number | undefined;
  readonly cdb: Uint8Array;
  readonly dataInBytesMax: number;
  readonly pdu: ScsiCommandPdu;
  /** What the initiator has for the command. */
  readonly expectedOutBytes: number;
  /** What the command takes, as its CDB says. */
  readonly wantedOutBytes: number;
  dataOut: Uint8Array = NOTHING;
  state: TaskState = "collecting";
  transfer: DataOutTransfer | undefined;
  /** An answer that is known before the device server was asked. */
  refusal: ScsiReply | undefined;
  /** A request for memory that is not granted yet. */
  request: { readonly account: ByteAccount; readonly request: ByteRequest } | undefined;
  /** Bytes of the connection's account for what the device server will answer. */
  readCharge = 0;
  readonly #pool: ChunkPool;
  #chunk: Chunk | undefined;
  /** What the answer's data stands in. */
  #dataInChunk: Chunk | undefined;
  #account: ByteAccount | undefined;
  #chargedBytes = 0;
  #abortion: AbortController | undefined;
  #ended: PromiseWithResolvers<void> | undefined;

  constructor(
    pdu: ScsiCommandPdu,
    additional: AdditionalHeaders,
    options: {
      readonly nexus: ScsiNexus;
      readonly dataOutBytes: (lun: number | undefined, cdb: Uint8Array) => number;
      readonly pool: ChunkPool;
    },
  ) {
    this.#pool = options.pool;
    this.pdu = pdu;
    this.nexus = options.nexus;
    this.lun = lunNumber(pdu.lunHigh, pdu.lunLow);
    this.cdb = wholeCdb(pdu.cdb, additional.extendedCdb);
    this.expectedOutBytes = pdu.write ? pdu.expectedBytes : 0;
    this.wantedOutBytes = options.dataOutBytes(this.lun, this.cdb);
    if (!pdu.read) this.dataInBytesMax = 0;
    else this.dataInBytesMax = pdu.write ? (additional.readBytes ?? 0) : pdu.expectedBytes;
  }

  /** Data that is collected for the device server. */
  get neededOutBytes(): number {
    return Math.min(this.expectedOutBytes, this.wantedOutBytes);
  }

  get tag(): number {
    return this.pdu.initiatorTaskTag;
  }

  get isOrdered(): boolean {
    return this.pdu.attribute === TaskAttribute.ordered;
  }

  /** Made when it is asked for: most commands never look at it. */
  get signal(): AbortSignal {
    this.#abortion ??= new AbortController();
    if (this.state === "over") this.#abortion.abort();
    return this.#abortion.signal;
  }

  /** Resolves when the device server has let go of it. */
  whenEnded(): Promise<void> {
    this.#ended ??= Promise.withResolvers<void>();
    return this.#ended.promise;
  }

  /** Takes `bytes` of `account`, which were taken already, as the task's own. */
  charge(account: ByteAccount, bytes: number): void {
    this.#account?.give(this.#chargedBytes);
    this.#account = account;
    this.#chargedBytes = bytes;
  }

  /** Keeps a chunk, retained for the task, instead of the one before. */
  keep(chunk: Chunk): void {
    this.#chunk?.release();
    this.#chunk = chunk;
  }

  get holdsMemory(): boolean {
    return this.#chargedBytes > 0;
  }

  get chunk(): Chunk | undefined {
    return this.#chunk;
  }

  dataInMemory(lengthBytes: number): Uint8Array {
    assert(this.#dataInChunk === undefined, "a command asks for memory once");
    this.#dataInChunk = this.#pool.atLeast(lengthBytes);
    return this.#dataInChunk.bytes.subarray(0, lengthBytes);
  }

  get dataInChunk(): Chunk | undefined {
    return this.#dataInChunk;
  }

  /** The answer is with the sender, or dropped. */
  releaseDataIn(): void {
    this.#dataInChunk?.release();
    this.#dataInChunk = undefined;
  }

  /** Nobody waits for its answer any more. */
  abort(): void {
    this.state = "over";
    this.#abortion?.abort();
  }

  /** Gives back the memory of its data-out. */
  release(): void {
    this.releaseMemory();
    this.transfer = undefined;
  }

  /** The same while its data-out is still coming. */
  releaseMemory(): void {
    this.dataOut = NOTHING;
    this.#chunk?.release();
    this.#chunk = undefined;
    this.#account?.give(this.#chargedBytes);
    this.#account = undefined;
    this.#chargedBytes = 0;
    this.request?.account.cancel(this.request.request);
    this.request = undefined;
  }

  ended(): void {
    this.#ended?.resolve();
  }
}

function wholeCdb(first: Uint8Array, rest: Uint8Array | undefined): Uint8Array {
  if (rest === undefined) return first;
  const whole = new Uint8Array(first.length + rest.length);
  whole.set(first);
  whole.set(rest, first.length);
  return whole;
}
