// An initiator without a transport: commands go to the SCSI target as values. For what libiscsi cannot do: many
// commands of one session at once, and abort of a task.
import type { ScsiNexus, ScsiTarget } from "../../src/frontend/iscsi/mod.ts";
import type { InitiatorCommand, InitiatorReply } from "./iscsi-initiator.ts";

const TEST_UNIT_READY = new Uint8Array(6);
let lastNexus = 1_000_000;

export class DirectInitiator {
  readonly #target: ScsiTarget;
  readonly #nexus: ScsiNexus;

  private constructor(target: ScsiTarget, nexus: ScsiNexus) {
    this.#target = target;
    this.#nexus = nexus;
  }

  /** Opens a session and takes the unit attention that it begins with. */
  static async connect(target: ScsiTarget, options: { name: string; isProtected: boolean }) {
    const number = ++lastNexus;
    const nexus: ScsiNexus = {
      number,
      initiator: "iqn.2026-11.io.ropewalk:direct",
      initiatorPort: `iqn.2026-11.io.ropewalk:direct,i,0x${number.toString(16)}`,
      targetPort: `${options.name},t,0x0001`,
      portalGroupTag: 1,
      relativePort: 1,
      isProtected: options.isProtected,
    };
    target.opened(nexus);
    const initiator = new DirectInitiator(target, nexus);
    while ((await initiator.command({ cdb: TEST_UNIT_READY })).status !== 0);
    return initiator;
  }

  async command(command: InitiatorCommand, signal = new AbortController().signal): Promise<InitiatorReply> {
    const { cdb, dataOut = new Uint8Array(), dataInBytes = 0, lun = 0 } = command;
    const taken = Math.min(dataOut.length, this.#target.dataOutBytes(lun, cdb));
    const reply = await this.#target.execute({
      nexus: this.#nexus,
      lun,
      cdb,
      dataOut: dataOut.subarray(0, taken),
      dataInBytesMax: dataInBytes,
      signal,
    });
    return {
      status: reply.status,
      sense: reply.sense ?? new Uint8Array(),
      dataIn: (reply.dataIn ?? new Uint8Array()).subarray(0, dataInBytes),
    };
  }

  close(): void {
    this.#target.closed(this.#nexus);
  }
}
