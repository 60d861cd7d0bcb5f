/**
 * SYNCHRONIZE CACHE, PRE-FETCH, START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-3, 5.8, 5.9, 5.20, 5.25 and
 * 5.26; SPC-4 for the last).
 *
 * Always holds: the medium can neither be stopped nor taken out: it belongs to all initiators. Stopping flushes.
 */

import { blockRange, invalidCdbField, Operation } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { type Answer, type CommandEntry, GOOD, goodAfter, usage } from "./command-entry.ts";
import type { LogicalUnit } from "./logical-unit.ts";

const IMMED = 0x02;
const START = 0x01;
const LOEJ = 0x02;
const NO_FLUSH = 0x04;

const flushing = { access: "change", run: synchronizeCache } as const;
const fetching = { access: "read", run: preFetch } as const;

export const CACHE_COMMANDS: readonly CommandEntry[] = [
  { ...flushing, opcode: Operation.synchronizeCache10, usage: usage("35 06 ff ff ff ff 1f ff ff 00") },
  {
    ...flushing,
    opcode: Operation.synchronizeCache16,
    usage: usage("91 06 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
  },
  { ...fetching, opcode: Operation.preFetch10, usage: usage("34 02 ff ff ff ff 1f ff ff 00") },
  {
    ...fetching,
    opcode: Operation.preFetch16,
    usage: usage("90 02 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00"),
  },
  {
    opcode: Operation.startStopUnit,
    usage: usage("1b 01 00 0f f7 00"),
    access: (cdb) => ((cdb[4]! & (0xf0 | START)) === START ? "status" : "change"),
    run: startStop,
  },
  {
    opcode: Operation.preventAllowMediumRemoval,
    usage: usage("1e 00 00 00 01 00"),
    access: (cdb) => ((cdb[4]! & 0x03) === 0 ? "free" : "change"),
    run: () => GOOD,
  },
];

function synchronizeCache(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  unit.checkRange(blockRange(cdb));
  const done = unit.access.flush();
  if ((cdb[1]! & IMMED) === 0) return goodAfter(done);
  // Who did not want to wait hears of a failure at the next command that the device fails too.
  done?.catch(() => undefined);
  return GOOD;
}

/** GOOD says that not all of it is in a cache, which is so: none is filled. */
function preFetch(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  unit.checkRange(blockRange(cdb));
  return GOOD;
}

function startStop(unit: LogicalUnit, { cdb }: ScsiCommand): Answer {
  const flags = cdb[4]!;
  if (flags >> 4 !== 0 || cdb[3] !== 0)
    throw invalidCdbField(flags >> 4 !== 0 ? 4 : 3, flags >> 4 !== 0 ? 7 : 3);
  if ((flags & LOEJ) !== 0) throw invalidCdbField(4, 1);
  if ((flags & (START | NO_FLUSH)) !== 0) return GOOD;
  return goodAfter(unit.access.flush());
}
