/**
 * The device server of one logical unit: what stands between a command's arrival and its work (SAM-5, 5; SPC-4, 4).
 *
 * Always holds: a command is checked in this order: is it known, unit attention, reservation, readiness, the CDB's
 * reserved bits, write protection; then it runs. Whatever it throws becomes a check condition, so every command is
 * answered. Sense data is in the format that the control mode page asks for.
 */

import { assert } from "../../../base/assert.ts";
import { type BlockDevice, checkDevice } from "../../../device/mod.ts";
import type { Clock } from "../../../ports/clock.ts";
import {
  type BlockLimits,
  type BlockRange,
  blockOutOfRange,
  CheckCondition,
  encodeSense,
  illegal,
  invalidCdbField,
  parseSense,
  type SenseData,
  SenseKey,
} from "../../../wire/iscsi/scsi/mod.ts";
import { type ScsiCommand, type ScsiNexus, type ScsiReply, ScsiStatus } from "../scsi-target.ts";
import { Attention, Attentions } from "./attentions.ts";
import { BlockAccess, type Durability } from "./block-access.ts";
import { type Answer, type CommandEntry, RESERVATION_CONFLICT } from "./command-entry.ts";
import { CommandTable } from "./command-table.ts";
import { senseOf } from "./device-errors.ts";
import { ModePages } from "./mode-pages.ts";
import { type ByteSpan, RangeLock } from "./range-lock.ts";
import { isSameNexus, type NexusPorts } from "./reservation-state.ts";
import { Reservations } from "./reservations.ts";
import { SanitizeOperation } from "./sanitize-operation.ts";
import type { CopyUnit, ThirdPartyCopy } from "./third-party-copy.ts";
import { unitDesignators } from "./unit-designators.ts";
import { unitLimits } from "./unit-limits.ts";
import type { ScsiUnitOptions, TargetPort, UnitIdentity } from "./unit-options.ts";
import { UnitRecord } from "./unit-record.ts";

const SANITIZE_BYTES_PER_SECOND = 64 * 1024 * 1024;

interface LivingNexus {
  readonly nexus: ScsiNexus;
  /** Commands that have not been answered yet. */
  readonly running: Set<Promise<unknown>>;
}

export class LogicalUnit implements CopyUnit {
  readonly device: BlockDevice;
  readonly blockBytes: number;
  readonly identity: UnitIdentity;
  readonly ports: readonly TargetPort[];
  readonly clock: Clock;
  readonly thirdPartyCopy: ThirdPartyCopy | undefined;
  readonly designators: readonly Uint8Array[];
  readonly sanitizeBytesPerSecond: number;
  readonly access: BlockAccess;
  readonly limits: BlockLimits;
  readonly commands: CommandTable;
  readonly attentions = new Attentions();
  readonly modes = new ModePages();
  readonly locks = new RangeLock();
  readonly sanitize: SanitizeOperation;
  readonly reservations: Reservations;
  readonly #record: UnitRecord;
  readonly #isWritable: boolean;
  readonly #living = new Map<number, LivingNexus>();
  #used = Promise.withResolvers<void>();
  #knownCapacityBlocks: number;

  constructor(options: ScsiUnitOptions) {
    this.device = checkDevice(options.device);
    this.blockBytes = options.blockBytes;
    assert(
      this.device.geometry.minimumBlockBytes <= this.blockBytes,
      "a unit's block is no smaller than the device's smallest",
    );
    this.identity = options.identity;
    this.ports = options.ports;
    this.clock = options.clock;
    this.thirdPartyCopy = options.thirdPartyCopy;
    this.designators = unitDesignators(options.identity);
    this.sanitizeBytesPerSecond = options.sanitizeBytesPerSecond ?? SANITIZE_BYTES_PER_SECOND;
    this.access = new BlockAccess(this.device, { trimReadsZeros: options.trimReadsZeros ?? false });
    this.limits = unitLimits(this.device, this.blockBytes, this.access.provisioning);
    this.commands = new CommandTable(options.thirdPartyCopy);
    this.#record = new UnitRecord(options.store);
    this.reservations = new Reservations(this.#record);
    this.sanitize = new SanitizeOperation(this.#record);
    this.#isWritable = options.isWritable && this.device.capabilities.writable;
    this.#knownCapacityBlocks = this.capacityBlocks;
  }

  /** Takes up what was stored; before the first command. IO_ERROR, and what the store throws */
  async load(): Promise<void> {
    const { reservations, sanitize } = await this.#record.load();
    this.reservations.restore(reservations);
    this.sanitize.restore(sanitize);
  }

  get capacityBlocks(): number {
    return Math.floor(this.device.sizeBytes / this.blockBytes);
  }

  get isWriteProtected(): boolean {
    return !this.#isWritable || this.modes.softwareWriteProtect;
  }

  open(nexus: ScsiNexus): void {
    this.#living.set(nexus.number, { nexus, running: new Set() });
    this.attentions.open(nexus.number);
    this.#used.resolve();
  }

  close(nexus: ScsiNexus): void {
    this.#living.delete(nexus.number);
    if (this.#living.size === 0) this.#used = Promise.withResolvers<void>();
    this.attentions.close(nexus.number);
    this.reservations.endSession(nexus.number);
  }

  /** Its tasks were aborted by the transport; they have no effect any more once this resolves. */
  async reset(): Promise<void> {
    this.reservations.reset();
    this.modes.reset();
    this.attentions.reset();
    await Promise.allSettled([...this.#living.values()].flatMap(({ running }) => [...running]));
  }

  execute(command: ScsiCommand): Answer {
    let answer: Answer;
    try {
      answer = this.#execute(command);
    } catch (error) {
      return this.failed(error);
    }
    return answer instanceof Promise ? this.#track(command.nexus, answer) : this.#formatted(answer);
  }

  dataOutBytes(cdb: Uint8Array): number {
    try {
      return this.commands.find(cdb)?.dataOutBytes?.(cdb, this) ?? 0;
    } catch {
      // What is wrong with the CDB is said when the command runs; then it needs no data.
      return 0;
    }
  }

  /** Resolves when a nexus is there. */
  whenUsed(): Promise<void> {
    return this.#used.promise;
  }

  /** The reply of a command that threw. */
  failed(error: unknown): ScsiReply {
    return this.checkCondition(senseOf(error));
  }

  checkCondition(data: SenseData): ScsiReply {
    return { status: ScsiStatus.checkCondition, sense: encodeSense(data, this.#senseFormat) };
  }

  /** Throws unless the range is on the unit. An empty one may stand right at the end. */
  checkRange({ lba, blocks }: BlockRange): void {
    const capacity = this.capacityBlocks;
    if (lba > capacity || (lba === capacity && blocks > 0)) throw blockOutOfRange(lba);
    if (lba + blocks > capacity) throw blockOutOfRange(capacity);
  }

  /** Throws unless the range is on the unit and no longer than one command may transfer; where its length is in the CDB. */
  checkTransfer(range: BlockRange, lengthByte: number): void {
    this.checkRange(range);
    if (range.blocks > this.limits.transferBlocksMax) throw invalidCdbField(lengthByte);
  }

  span({ lba, blocks }: BlockRange): ByteSpan {
    return { offsetBytes: lba * this.blockBytes, lengthBytes: blocks * this.blockBytes };
  }

  durability(forced: boolean): Durability {
    return forced || !this.modes.writeCache ? "durable" : "cached";
  }

  checkWritable(command: ScsiCommand): void {
    if (this.reservations.forbids(command.nexus, "change")) {
      // A copy of another unit has no status of its own for it: COPY TARGET DEVICE NOT REACHABLE would hide why.
      throw new CheckCondition(SenseKey.dataProtect, 0x27, 0x00);
    }
    this.#checkWriteProtection();
    this.sanitize.checkReady();
  }

  checkReadable(command: ScsiCommand): void {
    // COPY TARGET DEVICE NOT REACHABLE: a copy manager of another unit may not say more than that.
    if (this.reservations.forbids(command.nexus, "read"))
      throw new CheckCondition(SenseKey.copyAborted, 0x0d, 0x02);
    this.sanitize.checkReady();
  }

  async change<Result>(range: ByteSpan, work: () => Promise<Result>): Promise<Result> {
    return this.locks.run(range, "exclusive", work);
  }

  /** The nexuses of those ports that have a session now. */
  nexusesOf(ports: NexusPorts): ScsiNexus[] {
    return [...this.#living.values()].map(({ nexus }) => nexus).filter((nexus) => isSameNexus(nexus, ports));
  }

  /** Resolves when what the nexus had sent is answered, so that nothing of it has an effect afterwards. */
  async finished(nexus: ScsiNexus): Promise<void> {
    await Promise.allSettled(this.#living.get(nexus.number)?.running ?? []);
  }

  get #senseFormat(): "fixed" | "descriptor" {
    return this.modes.descriptorSense ? "descriptor" : "fixed";
  }

  #execute(command: ScsiCommand): Answer {
    const { cdb, nexus } = command;
    const entry = this.commands.find(cdb);
    // INVALID COMMAND OPERATION CODE.
    if (entry === undefined && !this.commands.knows(cdb[0]!)) throw illegal(0x20, 0x00, { byte: 0, bit: 7 });
    this.#noticeCapacity();
    if (entry?.ignoresAttentions !== true) {
      const attention = this.attentions.take(nexus.number);
      if (attention !== undefined) return this.checkCondition(attention);
    }
    if (entry === undefined) throw invalidCdbField(1, 4);
    const access = typeof entry.access === "function" ? entry.access(cdb) : entry.access;
    if (this.reservations.forbids(nexus, access)) return RESERVATION_CONFLICT;
    if (entry.ignoresReadiness !== true) this.sanitize.checkReady();
    checkReservedBits(entry, cdb);
    if (entry.changesMedium === true) this.#checkWriteProtection();
    return entry.run(this, command);
  }

  #checkWriteProtection(): void {
    // WRITE PROTECTED and LOGICAL UNIT SOFTWARE WRITE PROTECTED.
    if (!this.#isWritable) throw new CheckCondition(SenseKey.dataProtect, 0x27, 0x00);
    if (this.modes.softwareWriteProtect) throw new CheckCondition(SenseKey.dataProtect, 0x27, 0x02);
  }

  #noticeCapacity(): void {
    const capacity = this.capacityBlocks;
    if (capacity === this.#knownCapacityBlocks) return;
    this.#knownCapacityBlocks = capacity;
    this.attentions.raiseForAll(Attention.capacityChanged);
  }

  #track(nexus: ScsiNexus, answer: Promise<ScsiReply>): Promise<ScsiReply> {
    const running = this.#living.get(nexus.number)?.running;
    const reply = answer.then(
      (good) => {
        running?.delete(reply);
        return this.#formatted(good);
      },
      (error: unknown) => {
        running?.delete(reply);
        return this.failed(error);
      },
    );
    running?.add(reply);
    return reply;
  }

  /** Sense data of the copy manager is in the fixed format, whatever was asked for. */
  #formatted(reply: ScsiReply): ScsiReply {
    if (reply.sense === undefined || !this.modes.descriptorSense) return reply;
    const data = parseSense(reply.sense);
    return data === undefined ? reply : { ...reply, sense: encodeSense(data, "descriptor") };
  }
}

/** Bits of the control byte that are the vendor's. */
const VENDOR_BITS = 0xc0;
const SERVICE_ACTION_BITS = 0x1f;

function checkReservedBits({ usage, serviceAction }: CommandEntry, cdb: Uint8Array): void {
  const last = usage.length - 1;
  for (let at = 1; at <= last; at++) {
    let known = usage[at]!;
    if (at === 1 && serviceAction !== undefined) known |= SERVICE_ACTION_BITS;
    if (at === last) known |= VENDOR_BITS;
    const wrong = cdb[at]! & ~known;
    if (wrong !== 0) throw invalidCdbField(at, 31 - Math.clz32(wrong));
  }
}
