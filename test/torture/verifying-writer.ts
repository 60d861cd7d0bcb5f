// Writes, zeroes, trims, flushes and reads at random on several connections at once, keeps account of what was
// acknowledged, and checks every read. Never has two outstanding requests on one sector.
import type { Prng } from "../../src/base/prng.ts";
import type { BlockClient } from "../support/block-client.ts";
import type { ExpectedVolume, SectorRange } from "./expected-volume.ts";
import { SECTOR_BYTES, stamp } from "./stamped-sectors.ts";

const LANES = 12;
const SMALL_SECTORS_MAX = 64;
const LARGE_SECTORS_MAX = 2048;
/** Trims and zeroes stay on whole pages, where every server means the same by them. */
const PAGE_SECTORS = 8;

export class VerifyingWriter {
  /** What it read that is not what was written, and what failed although nobody killed the server. */
  readonly problems: string[] = [];
  acknowledged = 0;
  readonly #clients: readonly BlockClient[];
  readonly #expected: ExpectedVolume;
  readonly #prng: Prng;
  readonly #nextRequest: () => number;
  #ending = false;
  #held: Promise<void> | undefined;

  /** `nextRequest` gives each request a number that was never used on this volume. */
  constructor(options: {
    clients: readonly BlockClient[];
    expected: ExpectedVolume;
    prng: Prng;
    nextRequest: () => number;
  }) {
    this.#clients = options.clients;
    this.#expected = options.expected;
    this.#prng = options.prng;
    this.#nextRequest = options.nextRequest;
  }

  /** Works until `end`, or until its clients fail. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: LANES }, (_, lane) => this.#lane(lane)));
  }

  /** From now on failures are the server's death, and no new requests are begun. */
  end(): void {
    this.#ending = true;
  }

  /** Begins no new requests until the returned function is called; those under way go on. */
  hold(): () => void {
    let release = () => {};
    this.#held = new Promise((done) => {
      release = done;
    });
    return () => {
      this.#held = undefined;
      release();
    };
  }

  async #lane(lane: number): Promise<void> {
    const client = this.#clients[lane % this.#clients.length]!;
    while (!this.#ending) {
      // Looked at in the same turn as the request is begun, or one could slip in behind the holder's back.
      while (this.#held !== undefined) await this.#held;
      if (this.#ending) return;
      try {
        await this.#step(client);
      } catch (error) {
        if (!this.#ending) this.problems.push(`a request failed: ${(error as Error).message}`);
        return;
      }
    }
  }

  async #step(client: BlockClient): Promise<void> {
    const choice = this.#prng.fraction();
    if (choice < 0.05) return client.flush();
    if (choice < 0.15) return this.#read(client);
    if (choice < 0.25) return this.#clear(client, choice < 0.2 ? "zero" : "trim");
    return this.#write(client, { fua: choice < 0.4 });
  }

  async #write(client: BlockClient, { fua }: { fua: boolean }): Promise<void> {
    const range = this.#freeRange(1);
    if (range === undefined) return this.#pause();
    const request = { request: this.#nextRequest(), ...range };
    const bytes = new Uint8Array(range.sectors * SECTOR_BYTES);
    stamp(bytes, request.request, range.firstSector);
    this.#expected.begin(request);
    await client.write(range.firstSector * SECTOR_BYTES, bytes, { fua });
    this.#expected.acknowledge(request);
    this.acknowledged++;
  }

  async #clear(client: BlockClient, how: "zero" | "trim"): Promise<void> {
    const range = this.#freeRange(PAGE_SECTORS);
    if (range === undefined) return this.#pause();
    const request = { request: 0, ...range };
    this.#expected.begin(request);
    await client[how](range.firstSector * SECTOR_BYTES, range.sectors * SECTOR_BYTES);
    this.#expected.acknowledge(request);
    this.acknowledged++;
  }

  async #read(client: BlockClient): Promise<void> {
    const range = this.#freeRange(1);
    if (range === undefined) return this.#pause();
    const release = this.#expected.reserve(range);
    const bytes = await client.read(range.firstSector * SECTOR_BYTES, range.sectors * SECTOR_BYTES);
    this.problems.push(...this.#expected.compare(range.firstSector, bytes));
    release();
  }

  #freeRange(alignment: number): SectorRange | undefined {
    const most = this.#prng.chance(0.1) ? LARGE_SECTORS_MAX : SMALL_SECTORS_MAX;
    const sectors = Math.ceil((1 + this.#below(most)) / alignment) * alignment;
    const firstSector =
      this.#below(Math.floor((this.#expected.sizeSectors - sectors) / alignment)) * alignment;
    const range = { firstSector, sectors };
    return this.#expected.isFree(range) ? range : undefined;
  }

  #below(limit: number): number {
    return Math.floor(this.#prng.fraction() * limit);
  }

  #pause(): Promise<void> {
    return new Promise((done) => setImmediate(done));
  }
}
