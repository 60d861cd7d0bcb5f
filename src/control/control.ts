/** All use cases of one pool, as one value that front ends are given. */
import type { Clock } from "../ports/mod.ts";
import { type Collection, makeCollection } from "./collection.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import { Exports, type Stack } from "./exports.ts";
import { changePool, type PoolChange } from "./pool-settings.ts";
import { makeScrub, type Scrub } from "./scrub.ts";
import { Snapshots } from "./snapshots.ts";
import { type Machine, Status } from "./status.ts";
import { Volumes } from "./volumes.ts";

export class Control {
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly exports: Exports;
  readonly status: Status;
  readonly scrub: Scrub;
  readonly collection: Collection;
  readonly #pool: ControlledPool;

  constructor(options: { pool: ControlledPool; clock: Clock; machine: Machine; stack: Stack }) {
    const { pool, clock } = options;
    this.#pool = pool;
    this.volumes = new Volumes(pool);
    this.snapshots = new Snapshots(pool);
    this.exports = new Exports(options);
    this.status = new Status(options);
    this.scrub = makeScrub(pool, clock);
    this.collection = makeCollection(pool, clock);
  }

  changePool(change: PoolChange): ReturnType<typeof changePool> {
    return changePool(this.#pool, change);
  }

  /** Stops long work, so that the pool can close. */
  async stop(): Promise<void> {
    await Promise.all([this.scrub.cancel(), this.collection.cancel()]);
  }
}
