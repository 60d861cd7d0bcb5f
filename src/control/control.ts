/** All use cases of one pool, as one value that front ends are given. */
import type { Clock } from "../ports/mod.ts";
import { type Collection, makeCollection } from "./collection.ts";
import type { ControlledPool } from "./controlled-pool.ts";
import type { ControlledTokens } from "./controlled-tokens.ts";
import { Copies } from "./copies.ts";
import { Exports, type Stack } from "./exports.ts";
import type { FilesyncTargets } from "./filesync-targets.ts";
import type { Filesyncs } from "./filesyncs.ts";
import { changePool, type PoolChange } from "./pool-settings.ts";
import { makeScrub, type Scrub } from "./scrub.ts";
import { Snapshots } from "./snapshots.ts";
import type { StackedVolumes } from "./stacked-volumes.ts";
import { type Machine, Status } from "./status.ts";
import { Tokens } from "./tokens.ts";
import { Volumes } from "./volumes.ts";
import { Zeroing } from "./zeroing.ts";

export interface ControlOptions {
  readonly pool: ControlledPool;
  readonly clock: Clock;
  readonly machine: Machine;
  readonly stack: Stack;
  /** The room that all paths share; without it there are no tokens, and copies are plain. */
  readonly tokens?: ControlledTokens | undefined;
  /** Volumes that stand on others. */
  readonly stacks?: StackedVolumes | undefined;
  /** Directory trees that are replicated; without it none are. */
  readonly filesyncs?: Filesyncs | undefined;
  readonly filesyncTargets?: FilesyncTargets | undefined;
}

export class Control {
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly exports: Exports;
  readonly status: Status;
  readonly scrub: Scrub;
  readonly collection: Collection;
  readonly tokens: Tokens;
  readonly copies: Copies;
  readonly zeroing: Zeroing;
  readonly filesyncs: Filesyncs | undefined;
  readonly filesyncTargets: FilesyncTargets | undefined;
  readonly #pool: ControlledPool;

  constructor(options: ControlOptions) {
    const { pool, clock, tokens: room } = options;
    this.#pool = pool;
    this.volumes = new Volumes(pool, options.stacks);
    this.snapshots = new Snapshots(pool, options.stacks);
    this.exports = new Exports(options);
    this.status = new Status(options);
    this.scrub = makeScrub(pool, clock);
    this.collection = makeCollection(pool, clock);
    const { exports, volumes } = this;
    this.tokens = new Tokens({ exports, clock, room });
    this.copies = new Copies({ volumes, exports, room, clock });
    this.zeroing = new Zeroing({ exports, clock, room });
    this.filesyncs = options.filesyncs;
    this.filesyncTargets = options.filesyncTargets;
  }

  changePool(change: PoolChange): ReturnType<typeof changePool> {
    return changePool(this.#pool, change);
  }

  /** Stops long work, so that the pool can close. */
  async stop(): Promise<void> {
    await Promise.all([
      this.scrub.cancel(),
      this.collection.cancel(),
      this.copies.stop(),
      this.filesyncs?.stop(),
    ]);
  }
}
