/**
 * Page threads as one simulated process has them: sums that come later, or not at all.
 * Always holds: they are made from the bytes as they stand when they come, so that a buffer reused too early shows.
 */
import { checksumAt } from "../src/base/checksum.ts";
import type { PageThreads } from "../src/ports/mod.ts";
import type { SimulatedProcess } from "./simulated-clock.ts";
import type { SimulatedRandom } from "./simulated-random.ts";

const pageBytes = 4096;

/** Memory of processes that are gone, by its length: what the next one is given holds their bytes. */
const idle = new Map<number, Uint8Array[]>();

export class SimulatedPageThreads implements PageThreads {
  readonly #process: SimulatedProcess;
  readonly #random: SimulatedRandom;
  readonly #allocated: Uint8Array[] = [];
  inWork = 0;

  constructor(process: SimulatedProcess, random: SimulatedRandom) {
    this.#process = process;
    this.#random = random;
  }

  allocate(lengthBytes: number): Uint8Array {
    const memory = idle.get(lengthBytes)?.pop() ?? new Uint8Array(lengthBytes);
    this.#allocated.push(memory);
    return memory;
  }

  /** The process is dead; nothing of it touches its memory any more. */
  end(): void {
    for (const memory of this.#allocated.splice(0)) {
      const others = idle.get(memory.length);
      if (others === undefined) idle.set(memory.length, [memory]);
      else others.push(memory);
    }
  }

  checksums(bytes: Uint8Array): Promise<Uint32Array | undefined> | undefined {
    if (this.#random.chance(0.3)) return undefined;
    const dies = this.#random.chance(0.05);
    this.inWork++;
    return new Promise((resolve) => {
      this.#process.after(this.#random.fraction() * 0.2, () => {
        this.inWork--;
        const sums = new Uint32Array(bytes.length / pageBytes);
        for (let page = 0; page < sums.length; page++)
          sums[page] = checksumAt(bytes, page * pageBytes, pageBytes);
        resolve(dies ? undefined : sums);
      });
    });
  }
}
