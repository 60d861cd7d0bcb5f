// Snapshots of the volume under torture, made while requests are outstanding: each is read when it is made, must
// hold what was acknowledged by then and no part of a request, and must hold the same after every crash.

import { readAll } from "../support/block-client.ts";
import type { Daemon } from "../support/daemon.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import type { ExpectedVolume } from "./expected-volume.ts";
import type { VerifyingWriter } from "./verifying-writer.ts";

const KEPT_MAX = 4;

export class SnapshotKeeper {
  readonly problems: string[] = [];
  readonly #daemon: Daemon;
  readonly #volume: string;
  readonly #sizeBytes: number;
  readonly #kept = new Map<string, ExpectedVolume>();
  /** Asked for, but the daemon died before it answered: made or not. */
  readonly #unsure = new Map<string, ExpectedVolume>();
  #deleting: string | undefined;
  #number = 0;

  constructor(options: { daemon: Daemon; volume: string; sizeBytes: number }) {
    this.#daemon = options.daemon;
    this.#volume = options.volume;
    this.#sizeBytes = options.sizeBytes;
  }

  get kept(): number {
    return this.#kept.size;
  }

  /** Makes one more and deletes the oldest when there are enough. Failures while `dying()` are the kill's. */
  async step({
    writer,
    expected,
    dying,
  }: {
    writer: VerifyingWriter;
    expected: ExpectedVolume;
    dying: () => boolean;
  }): Promise<void> {
    const name = `s${++this.#number}`;
    const release = writer.hold();
    const copy = expected.copy();
    this.#unsure.set(name, copy);
    const made = await this.#daemon.tryCli("snapshot", "create", `${this.#volume}@${name}`);
    release();
    if (made.code !== 0) {
      if (!dying()) this.problems.push(`snapshot ${name}: ${made.stderr}`);
      return;
    }
    try {
      this.problems.push(...(await this.#compare(name, copy)));
    } catch (error) {
      if (!dying()) this.problems.push(`snapshot ${name}: ${(error as Error).message}`);
      return;
    }
    this.#unsure.delete(name);
    this.#kept.set(name, copy);
    while (this.#kept.size > KEPT_MAX && !dying()) await this.#deleteOldest(dying);
  }

  async #deleteOldest(dying: () => boolean): Promise<void> {
    const [oldest] = this.#kept.keys();
    this.#deleting = oldest;
    const deleted = await this.#daemon.tryCli("snapshot", "delete", `${this.#volume}@${oldest}`);
    if (deleted.code !== 0) {
      if (!dying()) this.problems.push(`deleting snapshot ${oldest}: ${deleted.stderr}`);
      return;
    }
    this.#kept.delete(oldest!);
    this.#deleting = undefined;
  }

  /** Compares all of them with what they must hold. */
  async verify(): Promise<string[]> {
    const problems: string[] = [];
    const listed = (await this.#daemon.json("snapshot", "list", this.#volume)) as { name: string }[];
    // Told apart by the last part, whether names are given alone or with their volume.
    const there = new Set(listed.map(({ name }) => name.split("@").at(-1)!));
    for (const [name, expected] of this.#unsure) if (there.has(name)) this.#kept.set(name, expected);
    this.#unsure.clear();
    if (this.#deleting !== undefined && !there.has(this.#deleting)) this.#kept.delete(this.#deleting);
    this.#deleting = undefined;
    for (const [name, expected] of this.#kept) {
      if (!there.has(name)) {
        problems.push(`snapshot ${name} is gone`);
        continue;
      }
      problems.push(...(await this.#compare(name, expected)));
    }
    return problems;
  }

  async #compare(name: string, expected: ExpectedVolume): Promise<string[]> {
    const client = await NbdBlockClient.open(this.#daemon.nbdSocket, `${this.#volume}@${name}`);
    const content = await readAll(client, this.#sizeBytes);
    await client.close();
    return expected.settle(content).map((problem) => `snapshot ${name}: ${problem}`);
  }
}
