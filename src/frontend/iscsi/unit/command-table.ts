/**
 * All commands of the unit, by opcode and service action.
 *
 * Always holds: an opcode either has service actions or has none; what is found here is what REPORT SUPPORTED
 * OPERATION CODES tells.
 */

import { assert } from "../../../base/assert.ts";
import { Operation } from "../../../wire/iscsi/scsi/mod.ts";
import { CACHE_COMMANDS } from "./cache-commands.ts";
import type { CommandEntry } from "./command-entry.ts";
import { COMPARE_COMMANDS } from "./compare-commands.ts";
import { DIAGNOSTIC_COMMANDS } from "./diagnostic-commands.ts";
import { INQUIRY_COMMANDS } from "./inquiry-commands.ts";
import { MODE_COMMANDS } from "./mode-commands.ts";
import { PROVISIONING_COMMANDS } from "./provisioning-commands.ts";
import { READ_COMMANDS } from "./read-commands.ts";
import { REPORT_COMMANDS } from "./report-commands.ts";
import { RESERVATION_COMMANDS } from "./reservation-commands.ts";
import { SANITIZE_COMMANDS } from "./sanitize-commands.ts";
import type { ThirdPartyCopy } from "./third-party-copy.ts";
import { WRITE_COMMANDS } from "./write-commands.ts";

const COMMANDS: readonly CommandEntry[] = [
  ...INQUIRY_COMMANDS,
  ...READ_COMMANDS,
  ...WRITE_COMMANDS,
  ...COMPARE_COMMANDS,
  ...PROVISIONING_COMMANDS,
  ...CACHE_COMMANDS,
  ...SANITIZE_COMMANDS,
  ...MODE_COMMANDS,
  ...DIAGNOSTIC_COMMANDS,
  ...REPORT_COMMANDS,
  ...RESERVATION_COMMANDS,
];

const SERVICE_ACTION_BITS = 0x1f;

export class CommandTable {
  /** In ascending order. */
  readonly all: readonly CommandEntry[];
  readonly #byOpcode = new Map<number, CommandEntry | Map<number, CommandEntry>>();

  constructor(copy: ThirdPartyCopy | undefined) {
    const entries = [...COMMANDS, ...copyEntries(copy)];
    this.all = entries.sort((a, b) => a.opcode - b.opcode || (a.serviceAction ?? 0) - (b.serviceAction ?? 0));
    for (const entry of this.all) this.#add(entry);
  }

  knows(opcode: number): boolean {
    return this.#byOpcode.has(opcode);
  }

  find(cdb: Uint8Array): CommandEntry | undefined {
    const found = this.#byOpcode.get(cdb[0]!);
    return found instanceof Map ? found.get(cdb[1]! & SERVICE_ACTION_BITS) : found;
  }

  /** Whether the opcode's commands differ by a service action. */
  hasServiceActions(opcode: number): boolean {
    return this.#byOpcode.get(opcode) instanceof Map;
  }

  #add(entry: CommandEntry): void {
    const { opcode, serviceAction } = entry;
    if (serviceAction === undefined) {
      assert(!this.#byOpcode.has(opcode), "an opcode without service actions is one command");
      this.#byOpcode.set(opcode, entry);
      return;
    }
    const actions = this.#byOpcode.get(opcode) ?? new Map<number, CommandEntry>();
    assert(actions instanceof Map && !actions.has(serviceAction), "a service action is one command");
    this.#byOpcode.set(opcode, actions.set(serviceAction, entry));
  }
}

function copyEntries(copy: ThirdPartyCopy | undefined): CommandEntry[] {
  if (copy === undefined) return [];
  return copy.supportedCommands.map((command): CommandEntry => {
    assert(
      command.opcode === Operation.thirdPartyCopyOut || command.opcode === Operation.thirdPartyCopyIn,
      "a copy manager's commands have opcode 83h or 84h",
    );
    return {
      ...command,
      access: command.changesMedium === true ? "change" : "read",
      dataOutBytes: (cdb) => copy.dataOutBytes(cdb),
      run: (unit, request) => copy.execute(request, unit),
    };
  });
}
