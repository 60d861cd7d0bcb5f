/**
 * A SCSI target with one logical unit, at LUN 0 (SAM-5, 4.6): what stands behind an iSCSI target that serves a
 * volume.
 *
 * Always holds: no command is run before what was stored of the unit is known; every command gets a reply, whatever its
 * bytes are. Errors: none are thrown; they are sense data in replies.
 */

import {
  CDB_BYTES,
  encodeSense,
  illegal,
  Operation,
  PERIPHERAL_NONE,
  SenseKey,
  sense,
  standardInquiry,
  uint16,
} from "../../../wire/iscsi/scsi/mod.ts";
import {
  type ScsiCommand,
  type ScsiNexus,
  type ScsiReply,
  ScsiStatus,
  type ScsiTarget,
} from "../scsi-target.ts";
import { type Answer, dataReply } from "./command-entry.ts";
import { senseOf } from "./device-errors.ts";
import { PRODUCT, PRODUCT_REVISION } from "./inquiry-commands.ts";
import { LogicalUnit } from "./logical-unit.ts";
import { reportLuns } from "./report-commands.ts";
import type { CopyUnit } from "./third-party-copy.ts";
import type { ScsiUnitOptions } from "./unit-options.ts";

const UNIT_LUN = 0;
/** LOGICAL UNIT NOT SUPPORTED. */
const NO_UNIT = { asc: 0x25, ascq: 0x00 };

export class ScsiUnitTarget implements ScsiTarget {
  readonly #unit: LogicalUnit;
  /** Undefined once what was stored is known. */
  #loading: Promise<void> | undefined;

  constructor(options: ScsiUnitOptions) {
    this.#unit = new LogicalUnit(options);
    this.#load();
  }

  /** A target that knows what was stored of it. What the store throws */
  static async open(options: ScsiUnitOptions): Promise<ScsiUnitTarget> {
    const target = new ScsiUnitTarget(options);
    await target.#loading;
    return target;
  }

  /** The logical unit as a copy manager sees it, also the one that it is handed with a command. */
  get copyUnit(): CopyUnit {
    return this.#unit;
  }

  execute(command: ScsiCommand): Answer {
    const padded = command.cdb.length < CDB_BYTES ? withWholeCdb(command) : command;
    if (command.lun !== UNIT_LUN) return executeWithoutUnit(padded);
    return this.#loading === undefined
      ? this.#unit.execute(padded)
      : this.#executeLater(padded, this.#loading);
  }

  dataOutBytes(lun: number | undefined, cdb: Uint8Array): number {
    if (lun !== UNIT_LUN) return 0;
    return this.#unit.dataOutBytes(cdb.length < CDB_BYTES ? paddedCdb(cdb) : cdb);
  }

  opened(nexus: ScsiNexus): void {
    this.#unit.open(nexus);
  }

  closed(nexus: ScsiNexus): void {
    this.#unit.close(nexus);
  }

  async reset(_nexus: ScsiNexus, lun: number | "all"): Promise<void> {
    if (lun === UNIT_LUN || lun === "all") await this.#unit.reset();
  }

  #load(): void {
    const loading = this.#unit.load().then(() => {
      this.#loading = undefined;
    });
    // Who waits for it hears of a failure; nobody may be waiting.
    loading.catch(() => undefined);
    this.#loading = loading;
  }

  async #executeLater(command: ScsiCommand, loading: Promise<void>): Promise<ScsiReply> {
    try {
      await loading;
    } catch (error) {
      // Another command tries again.
      if (this.#loading === loading) this.#load();
      return this.#unit.failed(error);
    }
    return this.#unit.execute(command);
  }
}

/** The same command with a CDB of full length. */
function withWholeCdb(command: ScsiCommand): ScsiCommand {
  const { nexus, lun, dataOut, dataInBytesMax, expectedOutBytes } = command;
  return {
    nexus,
    lun,
    cdb: paddedCdb(command.cdb),
    dataOut,
    dataInBytesMax,
    dataInMemory: (lengthBytes) => command.dataInMemory?.(lengthBytes) ?? new Uint8Array(lengthBytes),
    ...(expectedOutBytes === undefined ? {} : { expectedOutBytes }),
    // Made when it is asked for, here as there.
    get signal() {
      return command.signal;
    },
  };
}

function paddedCdb(cdb: Uint8Array): Uint8Array {
  const padded = new Uint8Array(CDB_BYTES);
  padded.set(cdb);
  return padded;
}

/** What a LUN answers at which no unit is (SPC-4, 6.6.1; SAM-5, 5.11). */
function executeWithoutUnit({ cdb }: ScsiCommand): ScsiReply {
  try {
    switch (cdb[0]) {
      case Operation.inquiry: {
        if (cdb[1] !== 0 || cdb[2] !== 0) throw illegal(NO_UNIT.asc, NO_UNIT.ascq);
        const data = { product: PRODUCT, revision: PRODUCT_REVISION, copiesForOthers: false };
        return dataReply(standardInquiry({ ...data, peripheral: PERIPHERAL_NONE }), uint16(cdb, 3));
      }
      case Operation.reportLuns:
        return reportLuns(cdb);
      case Operation.requestSense:
        return dataReply(sense(SenseKey.illegalRequest, NO_UNIT.asc, NO_UNIT.ascq), cdb[4]!);
      default:
        throw illegal(NO_UNIT.asc, NO_UNIT.ascq);
    }
  } catch (error) {
    return { status: ScsiStatus.checkCondition, sense: encodeSense(senseOf(error), "fixed") };
  }
}
