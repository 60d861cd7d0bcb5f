/**
 * The machine's disk in the simulator: platter, page cache and kernel, which outlive the processes that use it.
 *
 * Always holds: everything follows from the seed. A process death keeps what the kernel was given; a power cut
 * keeps what was synced, and of the rest whatever the mode allows. After a crash the dead process's calls
 * change nothing and never complete.
 */
import { RopewalkError } from "../src/base/errors.ts";
import type { Disk } from "../src/ports/mod.ts";
import { DiskFaults } from "./disk-faults.ts";
import { DiskTrace } from "./disk-trace.ts";
import { ProcessDisk } from "./process-disk.ts";
import type { SimulatedClock, SimulatedProcess } from "./simulated-clock.ts";
import { SimulatedDirectory } from "./simulated-directory.ts";
import type { SectorBytes, SimulatedFile, Survival } from "./simulated-file.ts";
import { SimulatedRandom } from "./simulated-random.ts";

/**
 * `clean`: the process dies, the kernel lives. `lost`: power goes, nothing unsynced survives. `torn`: what was
 * written up to some moment survives, the write at that moment in part. `reordered`: any sectors survive.
 */
export type CrashMode = "clean" | "lost" | "torn" | "reordered";
export const crashModes: readonly CrashMode[] = ["clean", "lost", "torn", "reordered"];

/** Misbehaviour of the disk itself, planted to prove that the checks notice. */
export interface DiskPlants {
  /** One fdatasync in this many reports success and does nothing. */
  readonly skipSyncEvery?: number;
  /** Directory syncs report success and do nothing. */
  readonly skipDirectorySync?: boolean;
  /** Every write begins a sector earlier, with the bytes that stand there. */
  readonly rewriteSectorBefore?: boolean;
  /** Dropping the cache does nothing. */
  readonly keepCache?: boolean;
}

export interface DiskOptions {
  readonly capacityBytes?: number;
  /** How often a read finds its bytes in memory. */
  readonly cachedFraction?: number;
  readonly trace?: DiskTrace;
  readonly plants?: DiskPlants;
}

export class SimulatedDisk {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly trace: DiskTrace;
  readonly faults = new DiskFaults();
  readonly plants: DiskPlants;
  readonly cachedFraction: number;
  capacityBytes: number;
  directory = new SimulatedDirectory();
  lockedBy: SimulatedProcess | undefined;
  /** Calls begun and completed so far: the places at which a crash can strike. */
  points = 0;
  /** Told of every range that was read. */
  onRead: ((name: string, position: number, length: number) => void) | undefined;
  #crashAtPoint = Number.POSITIVE_INFINITY;
  #onCrash: () => void = () => {};
  #nextNumber = 1;

  constructor(clock: SimulatedClock, seed: string | number, options: DiskOptions = {}) {
    this.clock = clock;
    this.random = new SimulatedRandom(`${seed}/disk`);
    this.trace = options.trace ?? new DiskTrace();
    this.plants = options.plants ?? {};
    this.cachedFraction = options.cachedFraction ?? 0.7;
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The disk as a newly started process sees it. */
  attach(process: SimulatedProcess): Disk {
    return new ProcessDisk(this, process);
  }

  /** Another disk with the same files, on its own clock and dice. Only between runs: nothing may be unsynced in the directory. */
  copy(clock: SimulatedClock, seed: string | number, options: DiskOptions = {}): SimulatedDisk {
    const copy = new SimulatedDisk(clock, seed, { capacityBytes: this.capacityBytes, ...options });
    copy.directory = this.directory.copy();
    copy.#nextNumber = this.#nextNumber;
    return copy;
  }

  get usedBytes(): number {
    let sum = 0;
    for (const file of this.directory.names.values()) sum += file.sizeBytes;
    return sum;
  }

  /** The process dies at the n-th point from now; `onCrash` is called there, in the middle of the call. */
  crashAfter(points: number, onCrash: () => void): void {
    this.#crashAtPoint = this.points + points;
    this.#onCrash = onCrash;
  }

  disarmCrash(): void {
    this.#crashAtPoint = Number.POSITIVE_INFINITY;
  }

  /** Passes a point; true when the process dies here. */
  passPoint(event: string, name: string, process: SimulatedProcess): boolean {
    this.points++;
    this.trace.note(event, name, this.points, Math.round(this.clock.nowMs * 1e6));
    if (this.points < this.#crashAtPoint) return false;
    this.#crashAtPoint = Number.POSITIVE_INFINITY;
    this.trace.note("death", name);
    process.kill();
    this.#onCrash();
    return true;
  }

  takeNumber(): number {
    return this.#nextNumber++;
  }

  get nextNumber(): number {
    return this.#nextNumber;
  }

  /** The power goes: afterwards only what the platter holds is there. For `clean` nothing happens. */
  powerCut(mode: CrashMode): void {
    this.trace.note("crash", mode);
    if (mode === "clean") return;
    const { random } = this;
    const sectorBytes: SectorBytes = random.chance(0.5) ? 512 : 4096;
    const damageTorn = random.chance(0.5);
    const newest = random.pick([0.1, 0.5, 0.9]);
    const oldest = (1 - newest) * random.pick([0.5, 1]);
    const filesCut = random.chance(0.3) ? "apart" : "together";
    const end = this.#cutNumber();
    this.directory.powerCut((number) => {
      if (mode === "lost") return false;
      return mode === "torn" ? number < end : random.chance(newest);
    });
    for (const file of this.directory.files()) {
      const survival: Survival =
        mode === "lost"
          ? { kind: "none" }
          : mode === "reordered"
            ? { kind: "any", newest, oldest }
            : { kind: "prefix", numberEnd: filesCut === "together" ? end : this.#cutNumber(file) };
      file.powerCut(survival, sectorBytes, random, damageTorn);
    }
    this.lockedBy = undefined;
  }

  file(name: string): SimulatedFile {
    const file = this.directory.names.get(name);
    if (file === undefined) throw new RopewalkError("NOT_FOUND", `no file ${name}`);
    return file;
  }

  /** A place in the order of unsynced changes (of one file, or of all) at which the power goes. */
  #cutNumber(file?: SimulatedFile): number {
    const numbers =
      file !== undefined
        ? file.pendingNumbers
        : [
            ...this.directory.pendingNumbers,
            ...[...this.directory.files()].flatMap((each) => each.pendingNumbers),
          ];
    numbers.sort((one, other) => one - other);
    numbers.push(this.#nextNumber);
    // Late cuts are the interesting ones: what is cut is close to what was being done.
    const last = numbers.length - 1;
    const at = this.random.chance(0.5)
      ? this.random.between(Math.max(0, last - 4), last)
      : this.random.between(0, last);
    return numbers[at]!;
  }
}
