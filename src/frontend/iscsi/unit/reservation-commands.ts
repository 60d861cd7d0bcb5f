/**
 * PERSISTENT RESERVE IN and OUT (SPC-4, 6.15 and 6.16), RESERVE and RELEASE (6) and (10) (SPC-2).
 *
 * Always holds: a change is in force, and stored where asked for, before it is answered; whom it concerns has a unit
 * attention by then, and the tasks of those that were preempted and aborted have ended.
 */

import {
  fullStatusData,
  invalidCdbField,
  keysData,
  Operation,
  parameterListLength,
  parseReserveOut,
  RESERVE_OUT_BYTES_MAX,
  ReserveIn,
  ReserveOut,
  reservationData,
  reserveCapabilities,
  uint16,
  uint32,
} from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiReply } from "../scsi-target.ts";
import {
  type Answer,
  type CommandEntry,
  dataReply,
  GOOD,
  RESERVATION_CONFLICT,
  usage,
} from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";
import { holdsReservation, registrantOf } from "./reservation-state.ts";

const sessionReserve = { access: "own", run: reserveSession } as const;
/** Without an effect, and without a conflict, where somebody else holds the unit. */
const sessionRelease = { access: "free", run: releaseSession } as const;

export const RESERVATION_COMMANDS: readonly CommandEntry[] = [
  ...Object.values(ReserveIn).map(
    (serviceAction): CommandEntry => ({
      opcode: Operation.persistentReserveIn,
      serviceAction,
      usage: usage(`5e ${hex(serviceAction)} 00 00 00 00 00 ff ff 00`),
      access: "status",
      run: persistentReserveIn,
    }),
  ),
  ...Object.values(ReserveOut).map(
    (serviceAction): CommandEntry => ({
      opcode: Operation.persistentReserveOut,
      serviceAction,
      usage: usage(`5f ${hex(serviceAction)} ff 00 00 ff ff ff ff 00`),
      access: "own",
      dataOutBytes: (cdb) => (uint32(cdb, 5) > RESERVE_OUT_BYTES_MAX ? 0 : uint32(cdb, 5)),
      run: persistentReserveOut,
    }),
  ),
  { ...sessionReserve, opcode: Operation.reserve6, usage: usage("16 00 00 00 00 00") },
  { ...sessionReserve, opcode: Operation.reserve10, usage: usage("56 00 00 00 00 00 00 00 00 00") },
  { ...sessionRelease, opcode: Operation.release6, usage: usage("17 00 00 00 00 00") },
  { ...sessionRelease, opcode: Operation.release10, usage: usage("57 00 00 00 00 00 00 00 00 00") },
];

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function persistentReserveIn(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  return dataReply(reserveInData(unit, cdb[1]! & 0x1f), uint16(cdb, 7));
}

function reserveInData(unit: LogicalUnit, serviceAction: number): Uint8Array {
  const { state } = unit.reservations;
  const { generation, registrants, reservation } = state;
  switch (serviceAction) {
    case ReserveIn.readKeys:
      return keysData(
        generation,
        registrants.map((registrant) => registrant.key),
      );
    case ReserveIn.readReservation: {
      if (reservation === undefined) return reservationData(generation, undefined);
      // With all registrants as holders the key is 0.
      const key = reservation.holder === "all" ? 0n : (registrantOf(state, reservation.holder)?.key ?? 0n);
      return reservationData(generation, { key, type: reservation.type });
    }
    case ReserveIn.reportCapabilities:
      return reserveCapabilities({ isPersistent: state.isPersistent });
    default:
      return fullStatusData(
        generation,
        registrants.map((registrant) => ({
          ...registrant,
          holds: holdsReservation(state, registrant) ? reservation?.type : undefined,
        })),
      );
  }
}

async function persistentReserveOut(
  unit: LogicalUnit,
  { cdb, dataOut, nexus }: ScsiCommand,
): Promise<ScsiReply> {
  const listBytes = uint32(cdb, 5);
  if (listBytes > RESERVE_OUT_BYTES_MAX || dataOut.length < listBytes) throw parameterListLength();
  const serviceAction = cdb[1]! & 0x1f;
  const outcome = await unit.reservations.change({
    serviceAction,
    scope: cdb[2]! >> 4,
    type: cdb[2]! & 0x0f,
    list: parseReserveOut(serviceAction, dataOut.subarray(0, listBytes)),
    from: { initiatorPort: nexus.initiatorPort, relativePort: nexus.relativePort },
    targetPorts: unit.ports.map((port) => port.relativePort),
  });
  if (outcome === "conflict") return RESERVATION_CONFLICT;
  for (const { to, condition } of outcome.attentions) {
    for (const told of unit.nexusesOf(to)) unit.attentions.raise(told.number, condition);
  }
  for (const ports of outcome.aborted) {
    for (const ended of unit.nexusesOf(ports)) if (ended.number !== nexus.number) await unit.finished(ended);
  }
  return GOOD;
}

function reserveSession(unit: LogicalUnit, { cdb, nexus }: ScsiCommand): Answer {
  if (cdb[0] === Operation.reserve10 && uint16(cdb, 7) !== 0) throw invalidCdbField(7, 7);
  return unit.reservations.reserveSession(nexus) ? GOOD : RESERVATION_CONFLICT;
}

function releaseSession(unit: LogicalUnit, { nexus }: ScsiCommand): Answer {
  return unit.reservations.releaseSession(nexus) ? GOOD : RESERVATION_CONFLICT;
}
