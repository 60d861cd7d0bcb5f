/**
 * What goes wrong, or is asked for, while a tree is replicated: links, deaths, a full disk, foreign hands at the target,
 * synchronizations and pauses in the middle.
 *
 * Always holds: when it has ended, everything works again; `needs` says by which synchronization alone the trees become
 * equal.
 */
import { asRopewalkError } from "../../src/base/errors.ts";
import type { SyncMode } from "../../src/filesync/mod.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { ReplicationMachine } from "./replication-machine.ts";
import { TreeChurn } from "./tree-churn.ts";

export interface FaultWeights {
  readonly cut: number;
  readonly hole: number;
  readonly stall: number;
  readonly down: number;
  readonly killSource: number;
  readonly killTarget: number;
  readonly power: number;
  readonly full: number;
  readonly drift: number;
  readonly sync: number;
  readonly pause: number;
  readonly nothing: number;
}

/** What a synchronization may reject with, when others are asked for or the process ends. */
const expectedCodes: ReadonlySet<string> = new Set([
  "CANCELLED",
  "SHUTTING_DOWN",
  "MASS_DELETION",
  "TOO_MANY",
]);

export class ReplicationFaults {
  /** A synchronization of this mode at least, before the trees can be equal. */
  needs: SyncMode | undefined;
  readonly counts: Record<string, number> = {};
  readonly #machine: ReplicationMachine;
  readonly #random: SimulatedRandom;
  readonly #weights: FaultWeights;
  #isOver = false;
  /** Things that end by themselves later. */
  #running = 0;

  constructor(machine: ReplicationMachine, weights: FaultWeights) {
    this.#machine = machine;
    this.#random = machine.random.fork("faults");
    this.#weights = weights;
  }

  /** Until `end`. */
  async run(pauseMsMax: number): Promise<void> {
    this.#isOver = false;
    while (!this.#isOver) {
      await this.#machine.pause(this.#random.fraction() * pauseMsMax);
      if (this.#isOver) return;
      const fault = this.#random.weighted({ ...this.#weights });
      this.counts[fault] = (this.counts[fault] ?? 0) + 1;
      if (fault !== "nothing") this.#machine.note("fault", fault);
      await this.#act(fault);
    }
  }

  /** Everything works again. */
  end(): void {
    const machine = this.#machine;
    const { disk, network, target } = machine;
    this.#isOver = true;
    machine.note("faults end", "");
    network.isDown = false;
    network.isHole = false;
    disk.isFull = false;
    if (!target.isAlive) target.start();
    if (!machine.isSourceAlive) machine.startSource();
    machine.synchronization.resume();
  }

  async #act(fault: keyof FaultWeights): Promise<void> {
    const machine = this.#machine;
    const { disk, network, target } = machine;
    const random = this.#random;
    const shortMs = random.fraction() * random.pick([10, 200, 3000]);
    switch (fault) {
      case "cut":
        return network.cut(random.pick(["one", "one", "all"]));
      case "hole":
        network.isHole = true;
        await this.#wait(random.chance(0.2) ? 90_000 : shortMs);
        network.isHole = false;
        return;
      case "stall":
        return network.stall(shortMs);
      case "down":
        network.isDown = true;
        network.cut("all");
        await this.#wait(shortMs);
        network.isDown = false;
        return;
      case "killSource":
        machine.killSource();
        await this.#wait(shortMs);
        if (!machine.isSourceAlive) machine.startSource();
        return;
      case "killTarget":
      case "power":
        machine.killTarget(fault === "power" ? "power" : "process");
        if (fault === "power") this.#need("attributes");
        await this.#wait(shortMs);
        if (!target.isAlive) target.start();
        return;
      case "full":
        disk.isFull = true;
        await this.#wait(shortMs);
        disk.isFull = false;
        return;
      case "drift":
        return await this.drift(random.between(1, 8));
      case "sync":
        return this.#sync(random.pick(["attributes", "incremental", "full"]));
      case "pause":
        machine.synchronization.pause();
        await this.#wait(shortMs);
        if (machine.isSourceAlive) machine.synchronization.resume();
    }
  }

  /** A foreign hand at the target: some of it cannot be seen in attributes. */
  async drift(actions: number): Promise<void> {
    const machine = this.#machine;
    const { disk } = machine;
    const random = this.#random;
    this.#need("incremental");
    const churn = new TreeChurn(disk.tree, {
      random,
      pause: async () => {},
      tickMs: 0,
      note: (what, path) => machine.note(`foreign ${what}`, path),
      largeFilesMax: 0,
    });
    await churn.run({ actions, pauseMsMax: 0 });
    for (const [path, inode] of disk.tree.walk()) {
      if (inode.kind !== "file" || !random.chance(0.1) || inode.content.length > 100_000) continue;
      const { modified } = inode;
      disk.tree.setContent(path, random.bytes(inode.content.length));
      disk.tree.setTime(path, modified);
      machine.note("foreign hidden", path);
    }
    disk.noteForeign();
  }

  #need(mode: SyncMode): void {
    if (this.needs === undefined || mode !== "attributes") this.needs = mode;
  }

  #sync(mode: SyncMode): void {
    const machine = this.#machine;
    if (!machine.isSourceAlive || this.#running > 2) return;
    this.#running++;
    machine.synchronization
      .sync({ mode, allowDeletes: true })
      .then(() => machine.finished())
      .catch((error: unknown) => {
        if (!expectedCodes.has(asRopewalkError(error).code)) machine.clock.fail(error);
      })
      .finally(() => this.#running--);
  }

  /** In small pieces, so that it ends with the faults. */
  async #wait(ms: number): Promise<void> {
    for (let left = ms; left > 0 && !this.#isOver; left -= 50) await this.#machine.pause(Math.min(left, 50));
  }
}
