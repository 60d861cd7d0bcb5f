/**
 * Every sequence of up to three operations, with a crash at every call of the disk in every mode, with every
 * call failing once and from then on, and with no space at every allocation. A seed is the number of a
 * sequence, so the seeds 1 to 1110 are all there are.
 */
import { RequestFlag } from "../../src/device/mod.ts";
import { Administration } from "../administration.ts";
import { CheckFailed } from "../check-failed.ts";
import { checkRecovered } from "../checks/recovered.ts";
import { checkSelf } from "../checks/space.ts";
import { DataRequests } from "../data-requests.ts";
import type { DiskFault } from "../disk-faults.ts";
import { DiskTrace } from "../disk-trace.ts";
import { type Life, Machine, type MachineOptions } from "../machine.ts";
import { diskPlants } from "../plants.ts";
import type { VolumeModel } from "../pool-model.ts";
import type { RunOptions, RunResult, Scenario } from "../scenario.ts";
import { type CrashMode, crashModes } from "../simulated-disk.ts";
import { VolumeAccess } from "../volume-access.ts";

const mebibyte = 1024 * 1024;
const volumeBytes = 6 * mebibyte;

export const matrixOperations = [
  "write",
  "fua",
  "flush",
  "trim",
  "zero",
  "snapshot",
  "clone",
  "graft",
  "resize",
  "delete",
] as const;
type MatrixOperation = (typeof matrixOperations)[number];

export const matrixScenario: Scenario = {
  name: "matrix",
  summary: "every sequence of three operations, a crash or a failure at every disk call; seeds 1..1110",
  defaultSeeds: [1, 110],
  run,
};

/** The sequence with this number: first those of one operation, then of two, then of three. */
export function sequenceNumbered(number: number): MatrixOperation[] {
  const count = matrixOperations.length;
  let rest = number - 1;
  for (let length = 1; length <= 3; length++) {
    if (rest < count ** length) {
      return Array.from({ length }, (_, at) => matrixOperations[Math.floor(rest / count ** at) % count]!);
    }
    rest -= count ** length;
  }
  throw new Error(`there are ${count + count ** 2 + count ** 3} sequences, not ${number}`);
}

/** One way to run a sequence. */
interface Case {
  readonly name: string;
  readonly crash?: { readonly point: number; readonly mode: CrashMode };
  readonly fault?: DiskFault;
  /** The operations are sent together instead of one after the other. */
  readonly together: boolean;
}

/** How far a run came before its last operation and in all. */
interface Extent {
  readonly pointsBefore: number;
  readonly points: number;
  readonly callsBefore: number;
  readonly createsBefore: number;
  /** How often the fault of the case struck. */
  readonly struck: number;
}

/** The order of calls varies a little from case to case, so a few before the last operation are taken along. */
const margin = 8;

async function run(options: RunOptions): Promise<RunResult> {
  const sequence = sequenceNumbered(options.seed);
  const base = await prepare(options);
  const trace = new DiskTrace();
  const counts = { cases: 0 };
  const runCase = async (each: Case): Promise<Extent> => {
    counts.cases++;
    const machine = base.again(`${options.seed}/${each.name}`, {
      trace: new DiskTrace({ print: options.verbose }),
      plants: diskPlants(options.plants),
    });
    try {
      const extent = await machine.run(new MatrixRun(machine, sequence, each).run());
      trace.note(machine.disk.trace.hash, each.name, extent.points);
      return extent;
    } catch (error) {
      if (error instanceof CheckFailed)
        throw new CheckFailed(error.check, `${sequence.join(", ")} (${each.name}): ${error.message}`);
      throw new Error(`${sequence.join(", ")} (${each.name})`, { cause: error });
    }
  };
  await crashEverywhere(runCase, "in turn");
  // What needs the volume alone cannot be sent together with anything else.
  const alone = sequence.includes("resize") || sequence.indexOf("delete") !== sequence.lastIndexOf("delete");
  if (sequence.length > 1 && !alone) await crashEverywhere(runCase, "together");
  await failEverywhere(runCase);
  return { traceHash: trace.hash, counts };
}

type RunCase = (each: Case) => Promise<Extent>;

/** What comes before the last of operations sent in turn belongs to the shorter sequence, which is a case of its own. */
async function crashEverywhere(runCase: RunCase, how: "in turn" | "together"): Promise<void> {
  const together = how === "together";
  const { pointsBefore, points } = await runCase({ name: `${how}, sound`, together });
  for (let point = Math.max(1, pointsBefore - margin); point <= points; point++)
    for (const mode of crashModes)
      await runCase({ name: `${how}, ${mode} at point ${point}`, crash: { point, mode }, together });
}

async function failEverywhere(runCase: RunCase): Promise<void> {
  const { callsBefore, createsBefore } = await runCase({ name: "sound", together: false });
  const failing = async (name: string, fault: DiskFault) =>
    (await runCase({ name, fault, together: false })).struck > 0;
  for (let nth = Math.max(1, callsBefore - margin); ; nth++) {
    const once = await failing(`call ${nth} fails`, { nth, lasting: false, code: "IO_ERROR" });
    const lasting = await failing(`calls from ${nth} fail`, { nth, lasting: true, code: "IO_ERROR" });
    if (!once && !lasting) break;
  }
  for (let nth = Math.max(1, createsBefore - 1); ; nth++) {
    const fault: DiskFault = { call: "create", nth, lasting: true, code: "NO_SPACE" };
    if (!(await failing(`no space at allocation ${nth}`, fault))) break;
  }
}

/** A pool with a little of everything, cleanly closed: where every case begins. */
async function prepare(options: RunOptions): Promise<Machine> {
  const machine = new Machine(baseOptions(options));
  await machine.run(
    (async () => {
      const life = machine.start();
      await life.format();
      await life.open();
      const access = new VolumeAccess(life);
      const data = new DataRequests(life, access);
      const administration = new Administration(life, access, data);
      await administration.createVolume("v", volumeBytes);
      const volume = machine.history.current.volumeNamed("v")!;
      for (const offset of [0, 2 * mebibyte - 8192, 4 * mebibyte])
        await data.write({ volume: volume.id, offset, length: 32 * 1024, flags: 0 });
      await administration.createSnapshot(volume, "old");
      await data.write({ volume: volume.id, offset: 4096, length: 8192, flags: 0 });
      await access.closeAll();
      await life.answer(life.pool.close(), "close");
      machine.history.promiseDurable(machine.history.lastSequence);
      machine.crash(life, "lost");
    })(),
  );
  return machine;
}

function baseOptions(options: RunOptions): MachineOptions {
  return {
    seed: "matrix",
    engine: options.engine,
    plants: options.plants,
    settings: {
      sizeBytes: 24 * mebibyte,
      segmentBytes: mebibyte,
      reserveSegments: 3,
      nodeCacheBytes: mebibyte,
      checkpointRecords: 1000,
    },
  };
}

class MatrixRun {
  readonly #machine: Machine;
  readonly #sequence: readonly MatrixOperation[];
  readonly #case: Case;
  #before = { pointsBefore: 0, callsBefore: 0, createsBefore: 0 };

  constructor(machine: Machine, sequence: readonly MatrixOperation[], each: Case) {
    this.#machine = machine;
    this.#sequence = sequence;
    this.#case = each;
  }

  async run(): Promise<Extent> {
    const { disk } = this.#machine;
    const { crash, fault } = this.#case;
    const life = this.#machine.start();
    if (crash !== undefined) life.dieAfter(crash.point);
    if (fault !== undefined) disk.faults.arm(fault);
    await Promise.race([this.#work(life), life.died]);
    const { points } = disk;
    const { struck } = disk.faults;
    this.#machine.crash(life, crash?.mode ?? (fault === undefined ? "clean" : disk.random.pick(crashModes)));
    const after = this.#machine.start();
    await after.must(after.open(), "open");
    await checkRecovered(after, "thorough");
    await this.#proveAlive(after);
    this.#machine.crash(after, "clean");
    return { ...this.#before, points, struck };
  }

  /** Notes how far the run came, when the last operation begins. */
  #noteBefore(): void {
    const { disk } = this.#machine;
    const { calls } = disk.faults;
    const callsBefore = calls.values().reduce((sum, count) => sum + count, 0);
    this.#before = { pointsBefore: disk.points, callsBefore, createsBefore: calls.get("create") ?? 0 };
  }

  async #work(life: Life): Promise<void> {
    try {
      await life.open();
    } catch (error) {
      life.expectError(error, "open", []);
      return;
    }
    const access = new VolumeAccess(life);
    const data = new DataRequests(life, access);
    const administration = new Administration(life, access, data);
    const volume = this.#machine.history.current.volumeNamed("v")!;
    const turns = this.#sequence.map(
      (operation, at) => () => perform(operation, at, volume, data, administration),
    );
    // A sequence of one operation takes the opening of the pool along.
    if (this.#case.together) {
      this.#noteBefore();
      await Promise.all(turns.map((turn) => turn()));
    } else {
      for (const [at, turn] of turns.entries()) {
        if (at > 0) this.#noteBefore();
        await turn();
      }
    }
    try {
      await access.closeAll();
      await administration.chore("checkpoint");
      await life.answer(life.pool.close(), "close");
      const { history } = this.#machine;
      if (!life.pool.status().readOnly) history.promiseDurable(history.lastSequence);
    } catch (error) {
      life.expectError(error, "close", []);
    }
  }

  /** What was recovered can be worked with. */
  async #proveAlive(life: Life): Promise<void> {
    const access = new VolumeAccess(life);
    const data = new DataRequests(life, access);
    for (const { id } of this.#machine.history.current.volumes.values()) {
      await data.write({ volume: id, offset: 1024, length: 1536, flags: RequestFlag.fua });
      await data.read(id, 0, 4096);
    }
    await access.closeAll();
    await checkSelf(life);
  }
}

/** The operation in the place `at` of a sequence: ranges that overlap with those of the other places. */
async function perform(
  operation: MatrixOperation,
  at: number,
  volume: VolumeModel,
  data: DataRequests,
  administration: Administration,
): Promise<void> {
  const { id, map } = volume;
  const page = 4096;
  /** Inside the volume, whatever size it was given before. */
  const range = (offset: number, length: number) => {
    const start = Math.min(offset, Math.floor((map.sizeBytes - 1) / page) * page);
    return { volume: id, offset: start, length: Math.min(length, map.sizeBytes - start), flags: 0 };
  };
  switch (operation) {
    case "write":
      return data.write(range(1536 + at * page, 5 * 2048));
    case "fua":
      return data.write({ ...range(at * page, 2 * page), flags: RequestFlag.fua });
    case "flush":
      return data.flush(id);
    case "trim":
      return data.clear("trim", range(at * page, 3 * page + 512));
    case "zero":
      return data.clear("zero", range(512 + at * page, 2 * page));
    case "snapshot":
      return administration.createSnapshot(volume, `new${at}`);
    case "clone": {
      const snapshot = at === 1 || !volume.snapshots.has("old") ? undefined : "old";
      return administration.cloneVolume(volume, snapshot, `clone${at}`);
    }
    case "graft": {
      const wanted = at === 2 ? range(0, 2 * mebibyte) : range((1 + at) * page + mebibyte, 9 * page);
      const source = at === 1 ? { volume: id } : { volume: id, snapshot: "old" };
      const length =
        Math.floor(Math.min(wanted.length, at === 1 ? map.sizeBytes : volumeBytes) / page) * page;
      const sourceOffset = at === 2 ? 2 * mebibyte : 0;
      if (length === 0 || !volume.snapshots.has("old")) return;
      return administration.graft({
        source,
        sourceOffset,
        volume,
        offset: wanted.offset,
        length,
        fua: false,
      });
    }
    case "resize":
      return administration.resizeVolume(volume, at === 1 ? volumeBytes + 3 * 512 : 2 * page + 1024);
    case "delete":
      return volume.snapshots.has("old")
        ? administration.deleteSnapshot(volume, "old")
        : administration.createSnapshot(volume, "old");
  }
}
