/**
 * SANITIZE (SBC-3, 5.24) with its four service actions; what they promise stands in sanitize-operation.ts.
 *
 * Always holds: the unit is not ready from the moment that the command was accepted; overwriting goes at a pace of
 * its own, erasing as fast as the device is.
 */

import { Buffer } from "node:buffer";
import { asRopewalkError } from "../../../base/errors.ts";
import type { Completion } from "../../../device/mod.ts";
import { nextTurn, sleep } from "../../../ports/clock.ts";
import {
  invalidCdbField,
  invalidParameter,
  Operation,
  SanitizeAction,
  uint16,
} from "../../../wire/iscsi/scsi/mod.ts";
import { type ScsiCommand, type ScsiReply, ScsiStatus } from "../scsi-target.ts";
import { type Answer, type CommandEntry, GOOD, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import type { SanitizeWork } from "./sanitize-operation.ts";
import { listBytesAt7 } from "./write-commands.ts";

const TASK_ABORTED: ScsiReply = { status: ScsiStatus.taskAborted };
const IMMED = 0x80;
/** AUSE: failure mode may be exited. */
const EXIT_ALLOWED = 0x20;
const LIST_HEADER_BYTES = 4;
/** So much is written, or erased, at a time. */
const OVERWRITE_BYTES = 1024 * 1024;
const ERASE_BYTES = 1024 * 1024 * 1024;

/** How often a closed device is tried again although somebody is logged in, and how long after. */
const ATTEMPTS_MAX = 10;
const RETRY_MS = 200;

const sanitizing = {
  opcode: Operation.sanitize,
  access: "change",
  changesMedium: true,
  dataOutBytes: listBytesAt7,
  ignoresReadiness: true,
} as const;

export const SANITIZE_COMMANDS: readonly CommandEntry[] = [
  {
    ...sanitizing,
    serviceAction: SanitizeAction.overwrite,
    usage: usage("48 a1 00 00 00 00 00 ff ff 00"),
    run: (unit, command) => sanitize(unit, command, overwriteWork(unit, command)),
  },
  {
    ...sanitizing,
    serviceAction: SanitizeAction.blockErase,
    usage: usage("48 a2 00 00 00 00 00 ff ff 00"),
    run: erase,
  },
  {
    ...sanitizing,
    serviceAction: SanitizeAction.cryptoErase,
    usage: usage("48 a3 00 00 00 00 00 ff ff 00"),
    run: erase,
  },
  {
    ...sanitizing,
    serviceAction: SanitizeAction.exitFailureMode,
    usage: usage("48 bf 00 00 00 00 00 ff ff 00"),
    run: exitFailureMode,
  },
];

async function sanitize(
  unit: LogicalUnit,
  { cdb, signal }: ScsiCommand,
  work: SanitizeWork,
): Promise<ScsiReply> {
  if (unit.sanitize.progress !== undefined) unit.sanitize.checkReady();
  const whole = { offsetBytes: 0, lengthBytes: unit.device.sizeBytes };
  const alone: SanitizeWork = async (progress) => {
    await unit.locks.run(whole, "exclusive", () => work(progress));
    await onOpenDevice(unit, () => unit.access.flush());
  };
  const isImmediate = (cdb[1]! & IMMED) !== 0;
  const { ended } = await unit.sanitize.begin(alone, { exitAllowed: (cdb[1]! & EXIT_ALLOWED) !== 0 });
  if (!isImmediate) return answerUnlessAborted(ended, signal);
  // Its failure is told to every command after it.
  ended.catch(() => undefined);
  return GOOD;
}

/** An aborted task ends at once, and a reset need not wait for it; the operation goes on. */
function answerUnlessAborted(running: Promise<void>, signal: AbortSignal): Promise<ScsiReply> {
  return new Promise((resolve, reject) => {
    const aborted = () => resolve(TASK_ABORTED);
    signal.addEventListener("abort", aborted, { once: true });
    if (signal.aborted) aborted();
    running.then(() => resolve(GOOD), reject).finally(() => signal.removeEventListener("abort", aborted));
  });
}

/** A device that was given back because nobody is logged in is open again when somebody is; so long the operation rests. */
async function onOpenDevice(unit: LogicalUnit, request: () => Completion): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      await request();
      return;
    } catch (error) {
      if (asRopewalkError(error).code !== "SHUTTING_DOWN" || attempts === ATTEMPTS_MAX) throw error;
    }
    await unit.whenUsed();
    await sleep(unit.clock, RETRY_MS);
  }
}

function erase(unit: LogicalUnit, command: ScsiCommand): Answer {
  if (listBytesAt7(command.cdb) !== 0) throw invalidCdbField(7, 7);
  const { isThin, readsZeros } = unit.access.provisioning;
  const unmaps = isThin && readsZeros;
  return sanitize(unit, command, async (progress) => {
    const { sizeBytes } = unit.device;
    for (let at = 0; at < sizeBytes; at += ERASE_BYTES) {
      const span = { offsetBytes: at, lengthBytes: Math.min(ERASE_BYTES, sizeBytes - at) };
      await onOpenDevice(unit, () =>
        unmaps ? unit.access.unmap(span, "cached") : unit.access.zero(span, "cached"),
      );
      progress((at + span.lengthBytes) / sizeBytes);
      await nextTurn(unit.clock);
    }
  });
}

/** Checks the parameter list before anything begins (SBC-3, table of the SANITIZE OVERWRITE parameter list). */
function overwriteWork(unit: LogicalUnit, { cdb, dataOut }: ScsiCommand): SanitizeWork {
  const listBytes = listBytesAt7(cdb);
  if (listBytes <= LIST_HEADER_BYTES || listBytes > unit.blockBytes + LIST_HEADER_BYTES)
    throw invalidCdbField(7, 7);
  if (dataOut.length < listBytes) throw invalidCdbField(7, 7);
  const passes = dataOut[0]! & 0x1f;
  const inverts = (dataOut[0]! & 0x80) !== 0;
  if ((dataOut[0]! & 0x60) !== 0) throw invalidParameter(0, 6);
  if (passes === 0) throw invalidParameter(0, 4);
  if (dataOut[1] !== 0) throw invalidParameter(1, 7);
  const patternBytes = uint16(dataOut, 2);
  if (patternBytes === 0 || patternBytes > listBytes - LIST_HEADER_BYTES) throw invalidParameter(2, 7);
  // A copy: with IMMED the operation outlives its command, and the command's memory.
  const pattern = dataOut.slice(LIST_HEADER_BYTES, LIST_HEADER_BYTES + patternBytes);
  return (progress) => overwrite(unit, { pattern, passes, inverts }, progress);
}

interface Overwrite {
  readonly pattern: Uint8Array;
  readonly passes: number;
  /** Each pass writes the complement of what the one before wrote. */
  readonly inverts: boolean;
}

async function overwrite(
  unit: LogicalUnit,
  { pattern, passes, inverts }: Overwrite,
  progress: (done: number) => void,
): Promise<void> {
  const sizeBytes = unit.device.sizeBytes - (unit.device.sizeBytes % unit.blockBytes);
  const block = Buffer.alloc(unit.blockBytes, pattern);
  const plain = Buffer.alloc(OVERWRITE_BYTES, block);
  const inverted = inverts ? Buffer.from(plain.map((byte) => byte ^ 0xff)) : plain;
  const beganMs = unit.clock.nowMs();
  let doneBytes = 0;
  for (let pass = 0; pass < passes; pass++) {
    const source = pass % 2 === 0 ? plain : inverted;
    for (let at = 0; at < sizeBytes; at += OVERWRITE_BYTES) {
      const lengthBytes = Math.min(OVERWRITE_BYTES, sizeBytes - at);
      await onOpenDevice(unit, () => unit.access.write(at, source.subarray(0, lengthBytes), "cached"));
      doneBytes += lengthBytes;
      progress(doneBytes / (sizeBytes * passes));
      const dueMs = beganMs + (doneBytes * 1000) / unit.sanitizeBytesPerSecond;
      const aheadMs = dueMs - unit.clock.nowMs();
      if (aheadMs > 0) await sleep(unit.clock, aheadMs);
      else await nextTurn(unit.clock);
    }
    await onOpenDevice(unit, () => unit.access.flush());
  }
}

async function exitFailureMode(unit: LogicalUnit, { cdb }: ScsiCommand): Promise<ScsiReply> {
  if (listBytesAt7(cdb) !== 0) throw invalidCdbField(7, 7);
  if (unit.sanitize.progress !== undefined) unit.sanitize.checkReady();
  await unit.sanitize.exitFailureMode();
  return GOOD;
}
