/**
 * Random operations on a small pool, with a crash every now and then, at any call of the disk, also while the
 * pool recovers; after each crash everything is compared with the model.
 */

import type { PoolSettings } from "../../src/pool/mod.ts";
import { CheckFailed } from "../check-failed.ts";
import { checkRecovered } from "../checks/recovered.ts";
import { checkNoLeak, checkSelf } from "../checks/space.ts";
import { CursorReader } from "../cursor-reader.ts";
import type { DiskFault } from "../disk-faults.ts";
import { DiskTrace } from "../disk-trace.ts";
import { type Life, Machine } from "../machine.ts";
import { diskPlants } from "../plants.ts";
import type { RunOptions, RunResult, Scenario } from "../scenario.ts";
import type { CrashMode } from "../simulated-disk.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { newerOfTwoSlots, slotBytes } from "../superblock-slots.ts";
import { Workload } from "../workload.ts";

const mebibyte = 1024 * 1024;
const recoveriesMax = 8;
const slotRotChance = 0.15;

export const crashScenario: Scenario = {
  name: "crash",
  summary: "random operations, crashes at any disk call, recovery crashed too, full disks, failing calls",
  defaultSeeds: [1, 200],
  run,
};

async function run(options: RunOptions): Promise<RunResult> {
  const random = new SimulatedRandom(`${options.seed}/settings`);
  const settings = randomSettings(random);
  const tightDisk = random.chance(0.15);
  const machine = new Machine({
    seed: options.seed,
    engine: options.engine,
    settings,
    plants: options.plants,
    disk: {
      cachedFraction: random.pick([0.3, 0.9, 0.99]),
      ...(tightDisk ? { capacityBytes: settings.sizeBytes! - 4 * mebibyte } : {}),
      trace: new DiskTrace({ print: options.verbose }),
      plants: diskPlants(options.plants),
    },
  });
  const run = new CrashRun(machine, random.between(2, 6), new SimulatedRandom(`${options.seed}/rot`));
  await machine.run(run.all());
  return { traceHash: machine.disk.trace.hash, counts: run.counts };
}

/** Small enough that everything happens: checkpoints, collection, full segments, full pools. */
function randomSettings(random: SimulatedRandom): Partial<PoolSettings> {
  return {
    sizeBytes: random.between(20, 56) * mebibyte,
    segmentBytes: mebibyte,
    nodeCacheBytes: random.pick([256 * 1024, 4 * mebibyte]),
    reserveSegments: random.between(6, 8),
    checkpointBytes: random.between(2, 10) * mebibyte,
    checkpointRecords: random.between(40, 400),
    checkpointNodeBytes: random.between(1, 8) * 512 * 1024,
    syncIntervalMs: random.pick([20, 200, 1000]),
    syncBytes: random.pick([256 * 1024, 2 * mebibyte]),
    writeAsideBytes: random.pick([2, 16, 64]) * 1024,
    readAsideBytes: random.pick([4, 64]) * 1024,
    cursorLogBytes: random.pick([2, 8]) * mebibyte,
    collectAboveRatio: random.pick([1.2, 1.5, 2]),
    scrubBytesPerSecond: random.chance(0.2) ? mebibyte : 0,
  };
}

class CrashRun {
  readonly counts = { crashes: 0, records: 0, clean: 0, faults: 0, retries: 0, rotten: 0 };
  readonly #machine: Machine;
  readonly #rot: SimulatedRandom;
  readonly #reader: CursorReader;
  readonly #lives: number;

  constructor(machine: Machine, lives: number, rot: SimulatedRandom) {
    this.#machine = machine;
    this.#rot = rot;
    this.#reader = new CursorReader(machine);
    this.#lives = lives;
  }

  async all(): Promise<void> {
    await this.#format();
    for (let life = 0; life < this.#lives; life++) await this.#live();
    await this.#settle();
    this.counts.records = this.#machine.history.operations.length;
  }

  /** Making the pool may be cut short too; then it is made again, or it is there. */
  async #format(): Promise<void> {
    const { random, disk } = this.#machine;
    const life = this.#machine.start();
    if (random.chance(0.2)) life.dieAfter(random.between(1, 40));
    const outcome = await Promise.race([life.format().then(() => "made" as const), life.died]);
    if (outcome === "made") return this.#machine.crash(life, "clean");
    this.#machine.crash(life, this.#crashMode());
    const next = this.#machine.start();
    try {
      await next.open();
      // Nobody was told that the pool exists; from now on it counts.
      await next.must(next.pool.close(), "close");
      this.#machine.crash(next, "clean");
    } catch (error) {
      next.expectError(error, "open of a pool that was being made", ["DATA_DIRECTORY", "POOL_DAMAGED"]);
      this.#machine.crash(next, "clean");
      for (const name of [...disk.directory.names.keys()]) disk.directory.remove(disk.takeNumber(), name);
      disk.directory.completeSync(disk.nextNumber);
      const last = this.#machine.start();
      await last.format();
      this.#machine.crash(last, "clean");
    }
  }

  /** One process: recovers, is checked, works, and dies or closes. */
  async #live(): Promise<void> {
    const { random, disk } = this.#machine;
    const life = await this.#recover();
    await checkRecovered(life, "sampled");
    const workload = new Workload(life, this.#reader, {
      clients: random.between(1, 6),
      requests: random.between(5, 40),
      actions: random.between(3, 30),
      pauseMsMax: random.pick([0.1, 5, 60]),
    });
    if (random.chance(0.15)) this.#armFault();
    const ending = random.weighted({ death: 8, close: 1, kill: 1 });
    if (ending === "death") life.dieAfter(Math.ceil(2 ** (random.fraction() * 10)));
    const outcome = await Promise.race([this.#work(life, workload, ending), life.died]);
    if (outcome === "closed") {
      this.counts.clean++;
      this.#machine.crash(life, this.#crashMode());
      this.#rotSlot();
      return;
    }
    this.counts.crashes++;
    if (disk.faults.struck > 0) this.counts.faults++;
    this.#machine.crash(life, this.#crashMode());
    this.#rotSlot();
  }

  /** The newer slot rots now and then: while the other one is whole, nothing may be lost by that. */
  #rotSlot(): void {
    if (!this.#rot.chance(slotRotChance)) return;
    const newer = newerOfTwoSlots(this.#machine.disk.directory.names);
    if (newer === undefined) return;
    newer.flip(this.#rot.between(0, slotBytes - 1), this.#rot.between(0, 7));
    this.counts.rotten++;
  }

  async #work(
    life: Life,
    workload: Workload,
    ending: "death" | "close" | "kill",
  ): Promise<"closed" | "killed"> {
    await workload.run();
    if (ending === "kill") {
      life.kill();
      return "killed";
    }
    try {
      await life.answer(life.pool.close(), "close");
      // A pool whose log failed closes without making anything durable.
      const { history } = this.#machine;
      if (!life.pool.status().readOnly) history.promiseDurable(history.lastSequence);
    } catch (error) {
      life.expectError(error, "close", []);
    }
    return "closed";
  }

  #armFault(): void {
    const { random, disk } = this.#machine;
    const call = random.pick([
      "write",
      "sync",
      "read",
      "create",
      "rename",
      "remove",
      "syncDirectory",
    ] as const);
    const fault: DiskFault = {
      call,
      nth: Math.ceil(2 ** (random.fraction() * 6)),
      lasting: random.chance(0.4),
      code: call === "create" && random.chance(0.7) ? "NO_SPACE" : "IO_ERROR",
    };
    disk.faults.arm(fault);
  }

  /** Opens the pool, dying on the way now and then, or meeting a call that fails. */
  async #recover(): Promise<Life> {
    const { random, disk } = this.#machine;
    for (let attempt = 0; attempt < recoveriesMax; attempt++) {
      const life = this.#machine.start();
      const trouble = attempt < recoveriesMax - 1 ? random.weighted({ none: 6, death: 3, fault: 1 }) : "none";
      if (trouble === "death") life.dieAfter(Math.ceil(2 ** (random.fraction() * 8)));
      if (trouble === "fault") this.#armFault();
      const outcome = await Promise.race([this.#open(life), life.died]);
      if (outcome === "open") {
        disk.disarmCrash();
        this.#reader.recovered();
        return life;
      }
      this.counts.retries++;
      this.#machine.crash(life, this.#crashMode());
    }
    throw new CheckFailed("open", "the pool does not open");
  }

  async #open(life: Life): Promise<"open" | "failed"> {
    const { disk } = this.#machine;
    try {
      await life.open();
    } catch (error) {
      life.expectError(error, "open", []);
      return "failed";
    }
    // A pool that opened in spite of a failed call may be read-only already; the next life will show what is there.
    if (disk.faults.struck > 0) return "failed";
    disk.faults.clear();
    return "open";
  }

  /** The end: everything is read, nothing leaks, scrub is content, and a clean close loses nothing. */
  async #settle(): Promise<void> {
    const { history } = this.#machine;
    const life = await this.#recover();
    await checkRecovered(life, "thorough");
    for (const name of [...history.current.cursors.keys()]) await this.#reader.delete(life, name);
    await checkNoLeak(life);
    await checkSelf(life);
    const found: string[] = [];
    const { errors } = await life.must(
      life.pool.scrub({ onError: (sentence) => found.push(sentence) }),
      "scrub",
    );
    if (errors > 0) throw new CheckFailed("scrub", `${errors} errors on a sound disk: ${found[0]}`);
    await life.must(life.pool.close(), "close");
    history.promiseDurable(history.lastSequence);
    this.#machine.crash(life, "lost");
    const last = await this.#recover();
    await checkRecovered(last, "sampled");
  }

  #crashMode(): CrashMode {
    return this.#machine.random.weighted({ clean: 3, lost: 2, torn: 4, reordered: 5 });
  }
}
