// Real tokens of every sort, and what forgers make of them, presented to the room that gave them out: none is
// accepted, all are refused alike, in what is said and in time; those that ended say why. Then the real ones are still
// good, and nothing was written or kept.
import { Prng } from "../../src/base/prng.ts";
import type { BlockDevice, OffloadReadRequest } from "../../src/device/mod.ts";
import { bytesOf, patternBytes } from "../support/simulated-pool.ts";
import type { Checks } from "./checks.ts";
import { flipped, forgeriesOf } from "./forgeries-of.ts";
import { ForgeriesPresented } from "./forgeries-presented.ts";
import { BRIEF_MS, bindToken, ForgeriesRoom, SOURCE_BYTES, writeToken } from "./forgeries-room.ts";
import { refusalTimes, spreadOf, timedForgeries } from "./forgeries-timing.ts";

const HERE = { isProtected: true };
/** Of a token that ended, one bit in so many; coprime to 8, so that all places in a byte come. */
const ENDED_BIT_STEP = 7;
const SAID_EACH = 1_000_000;

export interface ForgeriesOptions {
  /** Forged and replayed tokens to present, at least. */
  readonly count: number;
  readonly seed: number;
  /** Batches of each kind in the comparison of times. */
  readonly timedRounds: number;
  /** How much longer the slowest kind of refusal may take than the fastest. */
  readonly timeSpreadMax: number;
}

/** What a round's tokens are asked for, and how they end. */
interface Sort {
  readonly request: Partial<OffloadReadRequest>;
  readonly end: "expired" | "changed" | "volume deleted" | "revoked" | "used";
  readonly code: string;
}

const SORTS: readonly Sort[] = [
  { request: { ttlMs: BRIEF_MS }, end: "expired", code: "TOKEN_EXPIRED" },
  { request: { persistent: true }, end: "revoked", code: "TOKEN_REVOKED" },
  { request: { deleteOnUse: true }, end: "used", code: "TOKEN_DELETED" },
  { request: { policy: "reference" }, end: "volume deleted", code: "TOKEN_DELETED" },
  { request: { policy: "invalidate" }, end: "changed", code: "TOKEN_CANCELLED" },
  { request: { withChecksums: true, isProtected: false }, end: "revoked", code: "TOKEN_REVOKED" },
  {
    request: { kind: "hash", policy: "invalidate", ttlMs: BRIEF_MS },
    end: "expired",
    code: "TOKEN_EXPIRED",
  },
];

export async function forgeries(options: ForgeriesOptions, checks: Checks): Promise<void> {
  await ForgeriesRoom.with((world) => new Forging(world, options, checks).run());
}

class Forging {
  readonly #world: ForgeriesRoom;
  readonly #options: ForgeriesOptions;
  readonly #checks: Checks;
  readonly #prng: Prng;
  readonly #presented: ForgeriesPresented;
  #sources!: [BlockDevice, BlockDevice];
  #round = 0;

  constructor(world: ForgeriesRoom, options: ForgeriesOptions, checks: Checks) {
    this.#world = world;
    this.#options = options;
    this.#checks = checks;
    this.#prng = new Prng(options.seed);
    this.#presented = new ForgeriesPresented(world);
  }

  async run(): Promise<void> {
    const { room, target } = this.#world;
    const presented = this.#presented;
    this.#sources = [await this.#world.source("a", 1), await this.#world.source("b", 2)];
    await this.#forgeZeros();
    let next = SAID_EACH;
    // After one that was accepted nothing else is as it should be.
    for (; presented.presented < this.#options.count && presented.problems.length === 0; this.#round++) {
      await this.#oneRound(SORTS[this.#round % SORTS.length]!);
      if (presented.presented < next) continue;
      this.#checks.say(`${presented.presented} presented, ${presented.accepted} accepted`);
      next += SAID_EACH;
    }
    this.#checks.check(
      "no forged or ended token is accepted, and a door refuses all alike",
      presented.problems,
    );
    const { forged, live } = room.counters;
    const wrong = (isWrong: boolean, sentence: string) => (isWrong ? [sentence] : []);
    this.#checks.check("the room counts what was forged", [
      ...wrong(forged !== presented.counted, `${forged} counted of ${presented.counted}`),
    ]);
    this.#checks.check("nothing is kept for forgers", [
      ...wrong(live !== 0, `${live} tokens live`),
      ...wrong(this.#world.pins !== 0, `${this.#world.pins} pins left`),
    ]);
    const isEmpty = (await bytesOf(target)).every((byte) => byte === 0);
    this.#checks.check("no forged token wrote anything", wrong(!isEmpty, "the destination was written"));
    this.#sayCounts();
    if (presented.problems.length === 0) await this.#compareTimes();
  }

  /** The well-known token is one of exactly these bytes. */
  async #forgeZeros(): Promise<void> {
    const { token } = await bindToken(this.#sources[0]);
    for (const { bytes } of flipped(this.#world.room.zeroToken))
      await this.#presented.forged("zero token's bit", bytes, token, 0);
    await this.#world.room.revoke(token, { strength: "mandatory" });
  }

  async #oneRound(sort: Sort): Promise<void> {
    const { room, otherKey } = this.#world;
    const [one, two] = this.#sources;
    const { token: first, companion } = await bindToken(one, sort.request);
    const second = await bindToken(two, sort.request);
    const overOtherKey = this.#world.over("a", otherKey);
    const foreign = await bindToken(overOtherKey, sort.request);
    await overOtherKey.close();
    const token = companion ?? first;
    const other = second.companion ?? second.token;
    const seen = { token, other, foreign: foreign.companion ?? foreign.token };
    for (const { kind, bytes } of forgeriesOf(seen, this.#prng))
      await this.#presented.forged(kind, bytes, first, this.#round);
    if (this.#presented.problems.length > 0) return;
    await this.#checkGenuine(first, 1);
    await this.#checkGenuine(second.token, 2);
    await this.#end(sort, first);
    await this.#presented.replayed(`replayed, ${sort.end}`, first, sort.code);
    for (const { bytes } of flipped(first, ENDED_BIT_STEP))
      await this.#presented.forged("ended token's bit", bytes, first, this.#round);
    if (sort.request.kind !== "hash") {
      await room.revoke(second.token, { strength: "mandatory" });
      await otherKey.revoke(foreign.token, { strength: "mandatory" });
    }
  }

  /** What was forged did the real token no harm. */
  async #checkGenuine(token: Uint8Array, seed: number): Promise<void> {
    const bytes = new Uint8Array(SOURCE_BYTES);
    await this.#world.room.read(token, 0, bytes, HERE);
    if (Buffer.compare(bytes, patternBytes(SOURCE_BYTES, seed)) === 0) return;
    this.#presented.problems.push("a real token reads something else than it was made of");
  }

  async #end({ end }: Sort, token: Uint8Array): Promise<void> {
    const world = this.#world;
    const [source] = this.#sources;
    switch (end) {
      case "expired":
        return world.pause(BRIEF_MS + 1);
      case "changed":
        return void (await source.write(0, patternBytes(SOURCE_BYTES, 1), 0));
      case "revoked":
        return world.room.revoke(token, { strength: "mandatory" });
      case "used":
        await writeToken(world.target, token);
        return void (await world.target.zero(0, SOURCE_BYTES, 0));
      case "volume deleted":
        await world.remove("a", source);
        this.#sources[0] = await world.source("a", 1);
    }
  }

  #sayCounts(): void {
    const { presented, accepted, counts, refusals } = this.#presented;
    for (const [kind, count] of counts) this.#checks.say(`${String(count).padStart(10)}  ${kind}`);
    for (const refusal of refusals) this.#checks.say(refusal);
    this.#checks.say(`${presented} presented in ${this.#round} rounds, ${accepted} accepted`);
  }

  async #compareTimes(): Promise<void> {
    const { room, otherKey, sameKey } = this.#world;
    const { timedRounds: rounds, timeSpreadMax } = this.#options;
    const { token } = await bindToken(this.#sources[0]);
    const { token: foreign } = await bindToken(this.#world.over("a", otherKey));
    const { token: unknown } = await bindToken(this.#world.over("a", sameKey));
    const refuse = (bytes: Uint8Array) => {
      try {
        room.show(bytes, HERE);
      } catch {
        return;
      }
      throw new Error("a forged token was accepted");
    };
    const times = refusalTimes(timedForgeries({ token, foreign, unknown }), {
      refuse,
      rounds,
      prng: this.#prng,
    });
    for (const { kind, medianNs } of times)
      this.#checks.say(`${medianNs.toFixed(0).padStart(8)} ns  refusal: ${kind}`);
    const spread = spreadOf(times);
    const said = `the slowest kind of refusal takes ${(100 * spread).toFixed(1)} % longer than the fastest`;
    this.#checks.say(said);
    this.#checks.check("refusals take the same time", spread <= timeSpreadMax ? [] : [said]);
  }
}
