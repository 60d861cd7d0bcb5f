/**
 * Token copies on a small pool: tokens of all policies are made, read, written, revoked and forged while their
 * sources change, time passes, and the process or the power goes; what every token reads and how it ends is held
 * against a model.
 */
import {
  completeTokenSettings,
  type GivenTokenSettings,
  TOKEN_KEY_BYTES,
  TokenRoom,
} from "../../src/offload/mod.ts";
import type { PoolSettings } from "../../src/pool/mod.ts";
import { CheckFailed, check } from "../check-failed.ts";
import { checkRecovered } from "../checks/recovered.ts";
import { checkNoLeak, checkSelf } from "../checks/space.ts";
import { DiskTrace } from "../disk-trace.ts";
import { type Life, Machine } from "../machine.ts";
import { ObservedTokenPool } from "../observed-token-pool.ts";
import { diskPlants } from "../plants.ts";
import type { RunOptions, RunResult, Scenario } from "../scenario.ts";
import type { CrashMode } from "../simulated-disk.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { TokenBook } from "../token-book.ts";
import { TokenWorkload } from "../token-workload.ts";

const mebibyte = 1024 * 1024;
const recoveriesMax = 8;
/** Longer than any token lives, and than the room takes to notice. */
const allOverMs = 70_000;
/** How often it is looked again whether the last pins were given back. */
const pinRoundsMax = 50;
const pinRoundMs = 20;

export const tokensScenario: Scenario = {
  name: "tokens",
  summary: "tokens made, used and ended while their sources change, with crashes at any disk call",
  defaultSeeds: [1, 150],
  run,
};

async function run(options: RunOptions): Promise<RunResult> {
  const random = new SimulatedRandom(`${options.seed}/settings`);
  const machine = new Machine({
    seed: options.seed,
    engine: options.engine,
    settings: poolSettings(random),
    plants: options.plants,
    disk: {
      cachedFraction: random.pick([0.3, 0.9, 0.99]),
      trace: new DiskTrace({ print: options.verbose }),
      plants: diskPlants(options.plants),
    },
  });
  const given = tokenSettings(random);
  const run = new TokensRun(machine, {
    lives: random.between(2, 5),
    given,
    key: random.bytes(TOKEN_KEY_BYTES),
  });
  await machine.run(run.all());
  return { traceHash: machine.disk.trace.hash, counts: run.counts };
}

function poolSettings(random: SimulatedRandom): Partial<PoolSettings> {
  return {
    sizeBytes: random.between(28, 56) * mebibyte,
    segmentBytes: mebibyte,
    nodeCacheBytes: random.pick([256 * 1024, 4 * mebibyte]),
    reserveSegments: random.between(6, 8),
    checkpointBytes: random.between(2, 10) * mebibyte,
    checkpointRecords: random.between(40, 400),
    checkpointNodeBytes: random.between(1, 8) * 512 * 1024,
    syncIntervalMs: random.pick([20, 200, 1000]),
    syncBytes: random.pick([256 * 1024, 2 * mebibyte]),
    collectAboveRatio: random.pick([1.2, 1.5, 2]),
    scrubBytesPerSecond: 0,
  };
}

/** Mostly the defaults; now and then limits that are met. */
function tokenSettings(random: SimulatedRandom): GivenTokenSettings {
  const often = { chance: 0.2 };
  return {
    ...(random.chance(often.chance) && { countMax: random.between(3, 8) }),
    ...(random.chance(often.chance) && { pinsMax: random.between(3, 6) }),
    ...(random.chance(0.1) && { heldBytesMax: 4 * mebibyte }),
    ...(random.chance(often.chance) && { endedMax: random.between(0, 3) }),
    runningWrites: random.pick(["finish", "abort"]),
    allowUnprotected: random.chance(0.4),
    endWithVolume: random.chance(0.2),
    endWithSession: random.chance(0.3),
  };
}

class TokensRun {
  readonly counts = { crashes: 0, clean: 0, records: 0, retries: 0, tokens: 0 };
  readonly #machine: Machine;
  readonly #book: TokenBook;
  readonly #lives: number;
  readonly #given: GivenTokenSettings;
  readonly #key: Uint8Array;
  #pool!: ObservedTokenPool;

  constructor(machine: Machine, options: { lives: number; given: GivenTokenSettings; key: Uint8Array }) {
    this.#machine = machine;
    this.#lives = options.lives;
    this.#given = options.given;
    this.#key = options.key;
    this.#book = new TokenBook(machine, completeTokenSettings(options.given));
  }

  async all(): Promise<void> {
    const life = this.#machine.start();
    await life.format();
    this.#machine.crash(life, "clean");
    for (let count = 0; count < this.#lives; count++) await this.#live();
    await this.#settle();
    this.counts.records = this.#machine.history.operations.length;
  }

  /** One process: recovers, is checked, works with tokens, and dies or closes. */
  async #live(): Promise<void> {
    const { random } = this.#machine;
    const life = await this.#recover();
    await checkRecovered(life, "sampled");
    const ending = random.weighted({ death: 7, close: 2, kill: 2 });
    if (ending === "death") life.dieAfter(Math.ceil(2 ** (random.fraction() * 10)));
    const outcome = await Promise.race([this.#work(life, ending), life.died]);
    if (outcome === "closed") this.counts.clean++;
    else this.counts.crashes++;
    this.#crash(life);
  }

  async #work(life: Life, ending: "death" | "close" | "kill"): Promise<"closed" | "killed"> {
    const { random } = this.#machine;
    const room = await this.#openRoom(life);
    const workload = new TokenWorkload(life, { book: this.#book, room, pool: this.#pool });
    await workload.run({
      clients: random.between(1, 5),
      requests: random.between(5, 30),
      actions: random.between(2, 15),
      pauseMsMax: random.pick([0.1, 5, 60]),
    });
    if (random.chance(0.5)) await workload.readAll();
    if (ending === "kill") {
      life.kill();
      return "killed";
    }
    if (random.chance(0.2)) {
      await workload.revokeAll();
      await this.#checkNoPins(life, room);
    }
    const isRoomFirst = random.chance(0.5);
    if (!isRoomFirst) await workload.access.closeAll();
    await this.#closeRoom(life, room);
    if (isRoomFirst) await workload.access.closeAll();
    await life.must(life.pool.close(), "close");
    this.#machine.history.promiseDurable(this.#machine.history.lastSequence);
    return "closed";
  }

  async #openRoom(life: Life): Promise<TokenRoom> {
    const { machine } = life;
    const fromMs = this.#book.nowMs;
    const options = {
      pool: this.#pool,
      clock: life.process,
      random: machine.random.fork(`tokens ${machine.lives}`),
      key: this.#key,
      settings: this.#given,
      plants: machine.plants,
      report: (sentence: string) => this.#reported(life, sentence),
    };
    const room = await life.must(TokenRoom.open(options), "open of the token room");
    this.#book.opened(fromMs);
    return room;
  }

  /** The room calls us in the middle of its work; it must not see our errors as its own. */
  #reported(life: Life, sentence: string): void {
    if (!life.alive) return;
    try {
      this.#book.reported(sentence);
    } catch (error) {
      this.#machine.clock.fail(error);
    }
  }

  /** What is left belongs to persistent tokens. */
  async #closeRoom(life: Life, room: TokenRoom): Promise<void> {
    await life.must(room.close(), "close of the token room");
    const left = life.pool.pins().filter(({ persistent }) => !persistent);
    check(left.length === 0, "token-pins", () => `${left.length} pins are left behind the room`);
  }

  /** After all tokens ended no pin is left. */
  async #checkNoPins(life: Life, room: TokenRoom): Promise<void> {
    for (let round = 0; round < pinRoundsMax; round++) {
      if (life.pool.pins().length === 0) return;
      // Tokens that nobody was handed end by themselves.
      if (room.list().length > 0) return;
      await life.pause(pinRoundMs);
    }
    check(
      life.pool.pins().length === 0,
      "token-pins",
      () => `${life.pool.pins().length} pins are left, and no token is live`,
    );
  }

  /** Opens the pool, dying on the way now and then. */
  async #recover(): Promise<Life> {
    const { random, disk } = this.#machine;
    for (let attempt = 0; attempt < recoveriesMax; attempt++) {
      const life = this.#machine.start();
      this.#pool = new ObservedTokenPool(life);
      if (attempt < recoveriesMax - 1 && random.chance(0.2))
        life.dieAfter(Math.ceil(2 ** (random.fraction() * 8)));
      const outcome = await Promise.race([
        life.must(
          life.open().then(() => "open" as const),
          "open",
        ),
        life.died,
      ]);
      if (outcome === "open") {
        disk.disarmCrash();
        return life;
      }
      this.counts.retries++;
      this.#crash(life);
    }
    throw new CheckFailed("open", "the pool does not open");
  }

  /** The end: all tokens are read, all end, and nothing is left of them. */
  async #settle(): Promise<void> {
    const { history } = this.#machine;
    const life = await this.#recover();
    await checkRecovered(life, "thorough");
    const room = await this.#openRoom(life);
    const workload = new TokenWorkload(life, { book: this.#book, room, pool: this.#pool });
    await workload.readAll();
    this.counts.tokens = this.#book.tokens.length;
    await workload.revokeAll();
    await life.pause(allOverMs);
    const live = room.list();
    check(live.length === 0, "token-list", () => `token ${live[0]?.id} outlives its time`);
    await this.#checkNoPins(life, room);
    check(history.current.pins.size === 0, "token-pins", () => "the model still has pins");
    await this.#closeRoom(life, room);
    await life.must(life.pool.checkpoint(), "checkpoint");
    await checkNoLeak(life);
    await checkSelf(life);
    const { errors } = await life.must(life.pool.scrub(), "scrub");
    check(errors === 0, "scrub", () => `${errors} errors on a sound disk`);
    await life.must(life.pool.close(), "close");
    history.promiseDurable(history.lastSequence);
    this.#crash(life);
    const last = await this.#recover();
    await checkRecovered(last, "sampled");
    check(last.pool.pins().length === 0, "token-pins", () => "pins came back");
  }

  #crash(life: Life): void {
    const mode: CrashMode = this.#machine.random.weighted({ clean: 3, lost: 2, torn: 4, reordered: 5 });
    this.#machine.crash(life, mode);
    this.#book.processEnded();
  }
}
