/**
 * The directory of the simulated disk: names as the kernel shows them, and names as the platter has them.
 * Always holds: a creation, renaming or removal is durable only after a directory sync that was issued behind
 * it; until then a power cut may undo it.
 */
import type { SimulatedFile } from "./simulated-file.ts";

interface PendingChange {
  readonly number: number;
  readonly apply: (names: Map<string, SimulatedFile>) => void;
}

export class SimulatedDirectory {
  #durable = new Map<string, SimulatedFile>();
  #current = new Map<string, SimulatedFile>();
  #pending: PendingChange[] = [];

  get names(): ReadonlyMap<string, SimulatedFile> {
    return this.#current;
  }

  get pendingNumbers(): number[] {
    return this.#pending.map((change) => change.number);
  }

  /** Every file that a name leads to, or may lead to again after a power cut. */
  files(): Set<SimulatedFile> {
    return new Set([...this.#current.values(), ...this.#durable.values()]);
  }

  copy(): SimulatedDirectory {
    const copies = new Map<SimulatedFile, SimulatedFile>();
    for (const file of this.files()) copies.set(file, file.copy());
    const copyNames = (names: Map<string, SimulatedFile>) =>
      new Map([...names].map(([name, file]) => [name, copies.get(file)!] as const));
    if (this.#pending.length > 0) throw new Error("a directory is copied only when nothing is pending");
    const copy = new SimulatedDirectory();
    copy.#durable = copyNames(this.#durable);
    copy.#current = copyNames(this.#current);
    return copy;
  }

  create(number: number, name: string, file: SimulatedFile): void {
    this.#change(number, (names) => names.set(name, file));
  }

  rename(number: number, from: string, to: string): void {
    this.#change(number, (names) => {
      const file = names.get(from);
      if (file === undefined) return;
      names.delete(from);
      names.set(to, file);
    });
  }

  remove(number: number, name: string): void {
    this.#change(number, (names) => names.delete(name));
  }

  completeSync(numberEnd: number): void {
    for (const change of this.#pending) if (change.number < numberEnd) change.apply(this.#durable);
    this.#pending = this.#pending.filter((change) => change.number >= numberEnd);
  }

  /** Unsynced changes survive as `survives` says, in their order. */
  powerCut(survives: (number: number) => boolean): void {
    for (const change of this.#pending) if (survives(change.number)) change.apply(this.#durable);
    this.#pending = [];
    this.#current = new Map(this.#durable);
  }

  #change(number: number, apply: (names: Map<string, SimulatedFile>) => void): void {
    this.#pending.push({ number, apply });
    apply(this.#current);
  }
}
