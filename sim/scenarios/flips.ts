/**
 * Bits that rot: every single bit of the metadata of two small pools, one closed and one cut off in the
 * middle, and sampled bits of their data. The pool may refuse to open, reads may fail, and scrub must say so;
 * nothing may ever be read that was not written there. A seed is one of a thousand shares of the bits.
 */
import { asRopewalkError, type ErrorCode } from "../../src/base/errors.ts";
import { Administration } from "../administration.ts";
import { CheckFailed } from "../check-failed.ts";
import { checkCatalogue } from "../checks/catalogue.ts";
import { checkBytes } from "../checks/contents.ts";
import { openMap } from "../checks/recovered.ts";
import { DataRequests } from "../data-requests.ts";
import { type DiskSurvey, surveyDisk } from "../disk-survey.ts";
import { DiskTrace } from "../disk-trace.ts";
import { type Life, Machine } from "../machine.ts";
import { chunkBytes, type MapModel } from "../map-model.ts";
import type { RunOptions, RunResult, Scenario } from "../scenario.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { pageBytes, unitBytes } from "../unit-content.ts";
import { VolumeAccess } from "../volume-access.ts";

const mebibyte = 1024 * 1024;
/** Each pool's bits are dealt out to this many seeds. */
export const flipShares = 500;
const dataFlipsPerSeed = 12;
const emptyFlipsPerSeed = 4;

/** What a damaged pool may answer. */
const errorsOfDamage: readonly ErrorCode[] = [
  "POOL_DAMAGED",
  "CHECKSUM_MISMATCH",
  "DATA_DIRECTORY",
  "POOL_NEWER",
  "IO_ERROR",
];

export const flipsScenario: Scenario = {
  name: "flips",
  summary: "every bit of the metadata flipped, and sampled bits of the data; seeds 1..1000",
  defaultSeeds: [1, 20],
  run,
};

interface Bit {
  readonly file: string;
  readonly offset: number;
  readonly bit: number;
  /** A block that a map refers to stands here, and nowhere else. */
  readonly liveData: boolean;
}

async function run(options: RunOptions): Promise<RunResult> {
  const closed = options.seed % 2 === 1;
  const share = Math.floor((options.seed - 1) / 2) % flipShares;
  const base = await prepare(options, closed);
  const trace = new DiskTrace();
  const counts = { flips: 0, refused: 0, failedReads: 0, found: 0, harmless: 0 };
  for (const bit of chooseBits(surveyDisk(base), share, new SimulatedRandom(`flips ${options.seed}`))) {
    const name = `${bit.file} byte ${bit.offset} bit ${bit.bit}`;
    const machine = base.again(`${options.seed}/${name}`, {
      trace: new DiskTrace({ print: options.verbose }),
    });
    machine.disk.file(bit.file).flip(bit.offset, bit.bit);
    try {
      const outcome = await machine.run(new FlipRun(machine, bit).run());
      counts.flips++;
      counts[outcome]++;
      trace.note(machine.disk.trace.hash, name);
    } catch (error) {
      if (error instanceof CheckFailed)
        throw new CheckFailed(error.check, `${name} (${closed ? "closed" : "cut off"}): ${error.message}`);
      throw new Error(name, { cause: error });
    }
  }
  return { traceHash: trace.hash, counts };
}

class FlipRun {
  readonly #machine: Machine;
  readonly #bit: Bit;
  /** The byte as it was flipped. */
  readonly #damaged: number;

  constructor(machine: Machine, bit: Bit) {
    this.#machine = machine;
    this.#bit = bit;
    this.#damaged = machine.disk.file(bit.file).durableByte(bit.offset);
  }

  async run(): Promise<"refused" | "failedReads" | "found" | "harmless"> {
    const life = this.#machine.start();
    try {
      await life.open();
    } catch (error) {
      this.#mustBeDamage(error, "open");
      return "refused";
    }
    checkCatalogue(life);
    let failedReads = 0;
    for (const { name, key, map } of this.#machine.history.current.maps()) {
      const device = openMap(life, key);
      failedReads += await this.#readAll(life, name, (offset, target) => device.read(offset, target), map);
      await life.answer(device.close());
    }
    const { errors, covered } = await this.#scrub(life);
    const { liveData } = this.#bit;
    if (errors === 0 && (failedReads > 0 || liveData))
      throw new CheckFailed("scrub", `scrub found nothing, but ${failedReads} reads failed`);
    if (liveData && failedReads === 0)
      throw new CheckFailed("scrub", "a damaged block was read without an error");
    if (errors === 0 && covered) throw new CheckFailed("scrub", "scrub read the damage and did not notice");
    return failedReads > 0 ? "failedReads" : errors > 0 ? "found" : "harmless";
  }

  /** What scrub found, and whether the damage is still there and stood in something that it read. */
  async #scrub(life: Life): Promise<{ errors: number; covered: boolean }> {
    const { disk } = this.#machine;
    const { file, offset } = this.#bit;
    let covered = false;
    disk.onRead = (name, position, length) => {
      // A read up to the footer looks for records that may not be there.
      const looks = position + length === disk.file(name).sizeBytes - pageBytes && length > chunkBytes;
      if (name === file && position <= offset && offset < position + length && !looks) covered = true;
    };
    try {
      const { errors } = await life.answer(life.pool.scrub(), "scrub");
      const still = disk.directory.names.get(file)?.durableByte(offset) === this.#damaged;
      return { errors, covered: covered && still };
    } catch (error) {
      this.#mustBeDamage(error, "scrub");
      return { errors: 1, covered };
    } finally {
      disk.onRead = undefined;
    }
  }

  /** Reads the whole map, in pieces and where that fails page by page; how many pages could not be read. */
  async #readAll(
    life: Life,
    name: string,
    read: (offset: number, target: Uint8Array) => Promise<void> | undefined,
    map: MapModel,
  ): Promise<number> {
    let failed = 0;
    const readRange = async (offset: number, length: number): Promise<boolean> => {
      const bytes = new Uint8Array(length);
      try {
        await life.completion(() => read(offset, bytes));
      } catch (error) {
        this.#mustBeDamage(error, `read of ${name}`);
        return false;
      }
      const stamps = map.stamps(offset / unitBytes, Math.ceil(length / unitBytes));
      checkBytes(this.#machine.content, name, bytes, offset, [stamps]);
      return true;
    };
    for (const chunk of map.chunkOffsets()) {
      const end = Math.min(chunk + chunkBytes, map.sizeBytes);
      if (await readRange(chunk, end - chunk)) continue;
      for (let offset = chunk; offset < end; offset += pageBytes)
        if (!(await readRange(offset, Math.min(pageBytes, end - offset)))) failed++;
    }
    return failed;
  }

  #mustBeDamage(error: unknown, doing: string): void {
    if (error instanceof CheckFailed) throw error;
    const { code, message } = asRopewalkError(error);
    if (!errorsOfDamage.includes(code))
      throw new CheckFailed("unexpected-error", `${doing}: ${code}: ${message}\n${(error as Error).stack}`);
  }
}

/** This seed's share of the metadata's bits, and some bits of data and of nothing. */
function chooseBits(survey: DiskSurvey, share: number, random: SimulatedRandom): Bit[] {
  const bits: Bit[] = [];
  let index = 0;
  for (const { file, offset, length } of survey.metadata)
    for (let at = 0; at < length * 8; at++)
      if (index++ % flipShares === share)
        bits.push({ file, offset: offset + Math.floor(at / 8), bit: at % 8, liveData: false });
  for (let flip = 0; flip < dataFlipsPerSeed && survey.data.length > 0; flip++) {
    const { file, offset, live } = random.pick(survey.data);
    bits.push({
      file,
      offset: offset + random.between(0, unitBytes - 1),
      bit: random.between(0, 7),
      liveData: live,
    });
  }
  for (let flip = 0; flip < emptyFlipsPerSeed && survey.empty.length > 0; flip++) {
    const { file, offset, length } = random.pick(survey.empty);
    bits.push({
      file,
      offset: offset + random.between(0, length - 1),
      bit: random.between(0, 7),
      liveData: false,
    });
  }
  return bits;
}

/** A pool with all kinds of things in it, written so that each kind of metadata is there. */
async function prepare(options: RunOptions, closed: boolean): Promise<Machine> {
  const machine = new Machine({
    seed: `flips ${closed}`,
    engine: options.engine,
    plants: options.plants,
    settings: {
      sizeBytes: 24 * mebibyte,
      segmentBytes: mebibyte,
      reserveSegments: 3,
      nodeCacheBytes: mebibyte,
    },
  });
  await machine.run(
    (async () => {
      const life = machine.start();
      await life.format();
      await life.open();
      const access = new VolumeAccess(life);
      const data = new DataRequests(life, access);
      const administration = new Administration(life, access, data);
      const model = () => machine.history.current;
      await administration.createVolume("one", 5 * mebibyte + 512);
      await administration.createVolume("two", 1024 * mebibyte);
      const one = model().volumeNamed("one")!;
      const two = model().volumeNamed("two")!;
      await data.write({ volume: one.id, offset: 0, length: 10 * pageBytes, flags: 0 });
      await data.write({ volume: one.id, offset: 2 * mebibyte - 1024, length: 3 * pageBytes, flags: 0 });
      await administration.createSnapshot(one, "first");
      await data.write({ volume: one.id, offset: 3 * pageBytes, length: pageBytes, flags: 0 });
      await administration.cloneVolume(one, "first", "three");
      await data.write({ volume: two.id, offset: 700 * mebibyte, length: 5 * pageBytes, flags: 0 });
      await administration.pin({ volume: two.id }, "persistent");
      const source = { volume: one.id, snapshot: "first" };
      await administration.graft({
        source,
        sourceOffset: pageBytes,
        volume: two,
        offset: 0,
        length: 6 * pageBytes,
        fua: true,
      });
      await administration.chore("checkpoint");
      await data.clear("trim", { volume: one.id, offset: 0, length: 2 * pageBytes, flags: 0 });
      await data.clear("zero", {
        volume: one.id,
        offset: 5 * pageBytes + 512,
        length: 2 * pageBytes,
        flags: 0,
      });
      await data.write({ volume: two.id, offset: 2 * pageBytes, length: pageBytes, flags: 0 });
      await administration.mark(one, "here");
      await data.flush(one.id);
      await access.closeAll();
      // Time for the mark that says in the log what is durable.
      await life.pause(5000);
      if (closed) await life.must(life.pool.close(), "close");
      // The last mark vouches for what stands before it; damage to the mark itself looks like a power cut.
      const { operations } = machine.history;
      machine.history.promiseDurable(operations.findLast(({ kind }) => kind !== "nothing")!.sequence);
      machine.crash(life, "lost");
    })(),
  );
  return machine;
}
