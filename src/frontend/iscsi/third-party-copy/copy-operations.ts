/**
 * The copies that run and the results that wait to be asked for, by nexus, logical unit and list identifier.
 *
 * Always holds: of one list identifier on one nexus at most one copy runs; a result is discarded by a new command with
 * its identifier, by a request for it with an allocation length of 0, by its age, by newer ones over the limit, and with
 * its nexus. Errors: CheckConditions 00h/16h.
 */
import type { Clock } from "../../../ports/mod.ts";
import { illegal } from "../../../wire/iscsi/scsi/mod.ts";
import type { ScsiCommand, ScsiNexus } from "../scsi-target.ts";
import type { CopyUnit } from "../unit/third-party-copy.ts";
import type { CopyLimits } from "./copy-limits.ts";
import type { CopyOperation } from "./copy-operation.ts";

/** What a command's list identifier belongs to. */
type Owner = Pick<ScsiCommand, "nexus" | "lun">;

export class CopyOperations {
  readonly #clock: Clock;
  readonly #limits: CopyLimits;
  /** By nexus number, then by unit and list identifier; the oldest first. */
  readonly #byNexus = new Map<number, Map<string, CopyOperation>>();
  /** All that run, also those without list identifier, with their nexus. */
  readonly #running = new Map<CopyOperation, number>();

  constructor(clock: Clock, limits: CopyLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get isFull(): boolean {
    return this.#running.size >= this.#limits.concurrentCopiesMax;
  }

  /** Takes `operation` in; without list identifier nobody can ask for it. */
  begin(operation: CopyOperation, owner: Owner, listId: number | undefined): void {
    if (listId !== undefined) this.#keep(operation, owner, keyOf(owner, listId));
    this.#running.set(operation, owner.nexus.number);
    void operation.ended.then(() => this.#running.delete(operation));
  }

  #keep(operation: CopyOperation, owner: Owner, key: string): void {
    const results = this.#resultsOf(owner.nexus);
    if (results.get(key)?.isRunning === true) throw illegal(0x00, 0x16);
    results.delete(key);
    results.set(key, operation);
    for (const [oldKey, old] of results) {
      if (results.size <= this.#limits.resultsPerNexusMax) break;
      if (!old.isRunning) results.delete(oldKey);
    }
  }

  #resultsOf(nexus: ScsiNexus): Map<string, CopyOperation> {
    let results = this.#byNexus.get(nexus.number);
    if (results === undefined) {
      results = new Map();
      this.#byNexus.set(nexus.number, results);
      for (const [number, old] of this.#byNexus) {
        if (this.#byNexus.size <= this.#limits.nexusesMax) break;
        if (old !== results && !old.values().some((operation) => operation.isRunning))
          this.#byNexus.delete(number);
      }
    }
    return results;
  }

  find(owner: Owner, listId: number): CopyOperation | undefined {
    const results = this.#byNexus.get(owner.nexus.number);
    const operation = results?.get(keyOf(owner, listId));
    if (operation?.endedAtMs === undefined) return operation;
    if (this.#clock.nowMs() - operation.endedAtMs <= this.#limits.resultMsMax) return operation;
    results?.delete(keyOf(owner, listId));
    return undefined;
  }

  /** Forgets a result; what runs stays. */
  discard(owner: Owner, listId: number): void {
    if (this.find(owner, listId)?.isRunning === false)
      this.#byNexus.get(owner.nexus.number)?.delete(keyOf(owner, listId));
  }

  /** The session ended: what runs stops, results are gone. */
  forget(nexus: ScsiNexus): void {
    this.#byNexus.delete(nexus.number);
    for (const [operation, number] of this.#running) if (number === nexus.number) operation.stop();
  }

  /** A reset of the unit, or of all: what runs there stops. Resolves when it has. */
  async stop(unit: CopyUnit | "all"): Promise<void> {
    const stopped = [...this.#running.keys()].filter(
      (operation) => unit === "all" || operation.unit === unit,
    );
    for (const operation of stopped) operation.stop();
    await Promise.all(stopped.map((operation) => operation.ended));
  }
}

function keyOf(owner: Owner, listId: number): string {
  return `${owner.lun}/${listId}`;
}
