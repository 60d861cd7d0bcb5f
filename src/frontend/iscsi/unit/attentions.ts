/**
 * Unit attentions (SAM-5, 5.14): what each nexus has still to be told.
 *
 * Always holds: a nexus waits for each condition at most once, so a queue is no longer than there are conditions;
 * what a nexus was told, or what it missed because it ended, is gone.
 */

import { type SenseData, SenseKey } from "../../../wire/iscsi/scsi/mod.ts";

const attention = (asc: number, ascq: number): SenseData => ({ key: SenseKey.unitAttention, asc, ascq });

export const Attention = {
  powerOn: attention(0x29, 0x00),
  reset: attention(0x29, 0x03),
  modesChanged: attention(0x2a, 0x01),
  reservationsPreempted: attention(0x2a, 0x03),
  reservationsReleased: attention(0x2a, 0x04),
  registrationsPreempted: attention(0x2a, 0x05),
  capacityChanged: attention(0x2a, 0x09),
} as const;

export class Attentions {
  readonly #pending = new Map<number, SenseData[]>();

  /** A nexus begins, and is told so. */
  open(nexusNumber: number): void {
    this.#pending.set(nexusNumber, [Attention.powerOn]);
  }

  close(nexusNumber: number): void {
    this.#pending.delete(nexusNumber);
  }

  raise(nexusNumber: number, condition: SenseData): void {
    const queue = this.#pending.get(nexusNumber);
    if (queue !== undefined && !queue.includes(condition)) queue.push(condition);
  }

  /** For all nexuses, or all but one: who did it need not be told. */
  raiseForAll(condition: SenseData, exceptNexusNumber?: number): void {
    for (const nexusNumber of this.#pending.keys()) {
      if (nexusNumber !== exceptNexusNumber) this.raise(nexusNumber, condition);
    }
  }

  /** After a reset nothing older matters. */
  reset(): void {
    for (const nexusNumber of this.#pending.keys()) this.#pending.set(nexusNumber, [Attention.reset]);
  }

  /** The oldest one, which counts as told. */
  take(nexusNumber: number): SenseData | undefined {
    return this.#pending.get(nexusNumber)?.shift();
  }
}
