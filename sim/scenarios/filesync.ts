/**
 * A directory tree replicated in real time: users change the source while bulks run, events are lost, links and processes
 * fail and foreign hands change the target; in the end both trees are equal, and on the way the rules are kept.
 */
import { asRopewalkError } from "../../src/base/errors.ts";
import type { SynchronizationSettings, SyncMode } from "../../src/filesync/mod.ts";
import { CheckFailed, check } from "../check-failed.ts";
import { type FaultWeights, ReplicationFaults } from "../filesync/replication-faults.ts";
import { ReplicationMachine } from "../filesync/replication-machine.ts";
import { TreeChurn } from "../filesync/tree-churn.ts";
import { describeDifferences, type TreeMismatch, treeDifferences } from "../filesync/tree-differences.ts";
import type { RunOptions, RunResult, Scenario } from "../scenario.ts";
import { SimulatedRandom } from "../simulated-random.ts";

/** How often a synchronization is asked for until nothing is held back. */
const triesMax = 8;

export const filesyncScenario: Scenario = {
  name: "filesync",
  summary: "directory trees replicated while they change, with lost events, dying links and processes",
  defaultSeeds: [1, 200],
  run,
};

async function run(options: RunOptions): Promise<RunResult> {
  const random = new SimulatedRandom(`${options.seed}/settings`);
  const settings = synchronizationSettings(random);
  const losesEvents = random.chance(0.35);
  const tickMs = random.pick([1, 4, 10]);
  const machine = new ReplicationMachine({
    seed: options.seed,
    verbose: options.verbose,
    plants: options.plants,
    settings,
    tickMs,
    callMsMax: random.pick([0.05, 0.5, 3]),
    latencyMsMax: random.pick([0.2, 2, 30]),
    slowChance: random.pick([0, 0.1, 0.4]),
    orderlyDisk: random.chance(0.5),
    selfFirst: random.chance(0.5),
    inotify: {
      queueMax: losesEvents ? random.pick([10, 50, 300]) : 16_384,
      watchesMax: 1_000_000,
      readMsMax: random.pick([2, 30, 300]),
      joinChance: losesEvents ? random.pick([0, 0.05, 0.3]) : 0,
    },
  });
  const weights = faultWeights(random);
  const run = new FilesyncRun(machine, { random, weights, tickMs });
  await machine.run(run.all());
  return { traceHash: machine.trace.hash, counts: run.counts };
}

function synchronizationSettings(random: SimulatedRandom): SynchronizationSettings {
  return {
    threads: random.pick([1, 2, 3, 4, 4, 8, 16]),
    mode: "attributes",
    deletes: "mirror",
    excludes: [],
    barrier: random.pick(["tree", "tree", "path"]),
    bandwidthBytesPerSecond: random.chance(0.1) ? 300_000 : 0,
    idleCloseMs: random.pick([50, 5000]),
    queueEntriesMax: random.pick([20, 100, 16_384, 16_384]),
    // Trees are small here: several claims at the same time need short ones.
    copyRunEntriesMax: random.pick([2, 4, 8, 128]),
  };
}

function faultWeights(random: SimulatedRandom): FaultWeights {
  const often = (chance: number) => (random.chance(chance) ? random.between(1, 4) : 0);
  return {
    cut: often(0.4),
    hole: often(0.2),
    stall: often(0.3),
    down: often(0.2),
    killSource: often(0.3),
    killTarget: often(0.3),
    power: often(0.15),
    full: often(0.15),
    drift: often(0.2),
    sync: often(0.6),
    pause: often(0.2),
    nothing: 6,
  };
}

class FilesyncRun {
  readonly counts: Record<string, number> = { operations: 0, rounds: 0, overflows: 0, cuts: 0 };
  readonly #machine: ReplicationMachine;
  readonly #random: SimulatedRandom;
  readonly #faults: ReplicationFaults;
  readonly #churn: TreeChurn;

  constructor(
    machine: ReplicationMachine,
    options: { readonly random: SimulatedRandom; readonly weights: FaultWeights; readonly tickMs: number },
  ) {
    const { random, weights, tickMs } = options;
    this.#machine = machine;
    this.#random = random;
    this.#faults = new ReplicationFaults(machine, weights);
    this.#churn = new TreeChurn(machine.source, {
      random: machine.random.fork("churn"),
      pause: (ms) => machine.pause(ms),
      tickMs,
      note: (what, path) => machine.note(what, path),
      largeFilesMax: random.pick([0, 0, 1, 3]),
    });
  }

  async all(): Promise<void> {
    const machine = this.#machine;
    const random = this.#random;
    // What was there before anybody watched.
    await this.#churn.run({ actions: random.pick([0, 20, 100, 300]), pauseMsMax: 0 });
    if (random.chance(0.3)) await this.#faults.drift(random.between(1, 40));
    machine.startSource();
    const rounds = random.between(1, 3);
    for (let round = 0; round < rounds; round++) {
      await this.#work(round);
      await this.#settle();
      this.counts["rounds"]!++;
    }
    await this.#finalChecks();
    this.counts["operations"] = this.#churn.operations;
    this.counts["overflows"] = machine.events.overflows;
    this.counts["cuts"] = machine.network.cuts;
    this.counts["torn"] = machine.history.torn;
    Object.assign(this.counts, this.#faults.counts);
  }

  /** Users and faults, for a while. */
  async #work(round: number): Promise<void> {
    const random = this.#random;
    const clients = random.between(1, 3);
    const pauseMsMax = random.pick([1, 10, 100]);
    const faults = this.#faults.run(pauseMsMax * 8 + 5);
    if (round === 0 && random.chance(0.3)) await this.#machine.pause(random.fraction() * 500);
    const actions = random.pick([10, 60, 150]);
    await Promise.all(
      Array.from({ length: clients }, async () => {
        for (let left = actions; left > 0; ) {
          const isBurst = random.chance(0.1);
          const some = Math.min(left, isBurst ? random.between(10, 100) : random.between(1, 20));
          await this.#churn.run({ actions: some, pauseMsMax: isBurst ? 0 : pauseMsMax });
          left -= some;
        }
      }),
    );
    this.#faults.end();
    await faults;
    this.#faults.end();
    // A last burst, and nobody waits for what comes of it.
    if (random.chance(0.4)) await this.#churn.run({ actions: random.between(1, 80), pauseMsMax: 0 });
  }

  /** All is quiet: the trees become equal. */
  async #settle(): Promise<void> {
    const machine = this.#machine;
    await this.#settled();
    let needed = this.#faults.needs;
    this.#faults.needs = undefined;
    if (needed === undefined) {
      const differences = treeDifferences(machine.source, machine.disk.tree);
      // Where events were lost, only contents can tell two files of one tick and one size apart.
      const hidden = this.#hasLostEvents() ? differences.filter(({ isHidden }) => isHidden) : [];
      const unheard = differences.filter(({ isUnheard }) => isUnheard === true);
      if (hidden.length + unheard.length < differences.length) checkEqual("equal", differences);
      if (hidden.length > 0) this.#need("incremental", "hidden");
      else if (unheard.length > 0) this.#need("attributes", "unheard");
      needed = this.#faults.needs;
      this.#faults.needs = undefined;
    }
    if (needed !== undefined || this.#random.chance(0.3)) await this.#synchronize(needed);
    await this.#settled();
    checkEqual("equal-settled", treeDifferences(machine.source, machine.disk.tree));
    await this.#carry();
  }

  /** Nothing else happens, so nothing else makes good what is read of a directory that has moved. */
  async #carry(): Promise<void> {
    const machine = this.#machine;
    await this.#churn.carry(this.#random.between(3, 10));
    await this.#settled();
    const differences = treeDifferences(machine.source, machine.disk.tree);
    // What only a comparison finds is looked for by the next round.
    checkEqual(
      "equal-carried",
      differences.filter(({ isHidden, isUnheard }) => !isHidden && isUnheard !== true),
    );
  }

  /** What the kernel does not tell, a synchronization finds. */
  #need(mode: SyncMode, why: string): void {
    this.#faults.needs = mode;
    this.counts[why] = (this.counts[why] ?? 0) + 1;
  }

  #hasLostEvents(): boolean {
    const { events } = this.#machine;
    return events.overflows + events.joined > 0 || (this.#faults.counts["killSource"] ?? 0) > 0;
  }

  async #synchronize(needed: SyncMode | undefined): Promise<void> {
    const machine = this.#machine;
    const mode =
      needed === "incremental"
        ? this.#random.pick(["incremental", "full"] as const)
        : this.#random.pick(["attributes", "incremental", "full"] as const);
    machine.note("sync", mode);
    await this.#synced(mode);
    machine.finished();
    checkEqual(`equal-after-${mode}`, treeDifferences(machine.source, machine.disk.tree));
  }

  async #synced(mode: SyncMode): Promise<void> {
    for (let tries = 0; tries < triesMax; tries++) {
      try {
        await this.#machine.synchronization.sync({ mode, allowDeletes: true });
        return;
      } catch (error) {
        if (asRopewalkError(error).code !== "CANCELLED") throw error;
        await this.#machine.pause(100);
      }
    }
    throw new CheckFailed("sync", "a synchronization is cancelled again and again");
  }

  async #settled(): Promise<void> {
    for (let tries = 0; tries < triesMax; tries++) {
      try {
        this.#machine.note("settle", "");
        await this.#machine.synchronization.settled();
        this.#machine.note("settled", "");
        return;
      } catch (error) {
        if (asRopewalkError(error).code !== "MASS_DELETION") throw error;
        this.#machine.note("held", "");
        await this.#synced("attributes");
      }
    }
    throw new CheckFailed("settled", "a deletion is held back again and again");
  }

  /** What was told to be there is durable; a verification finds nothing; the program ends in an orderly way. */
  async #finalChecks(): Promise<void> {
    const machine = this.#machine;
    const { differences, files } = await machine.synchronization.verify();
    check(
      differences === 0,
      "verify",
      () => `${differences} of ${files} files differ, says the verification`,
    );
    if (this.#random.chance(0.5)) {
      machine.killTarget("power");
      checkEqual("durable", treeDifferences(machine.source, machine.disk.tree));
      machine.target.start();
    }
    await machine.synchronization.stop();
  }
}

function checkEqual(name: string, differences: readonly TreeMismatch[]): void {
  check(differences.length === 0, name, () => describeDifferences(differences));
}
