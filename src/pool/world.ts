/** What a pool is given from outside: the ports, and two hooks that only the simulator uses. */
import type { Clock, Disk, PageThreads, Random } from "../ports/mod.ts";

/** Told in the same turn, in the order of the log. */
export type PoolEvent = {
  readonly type: "append";
  readonly sequence: number;
  readonly kind: string;
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  /** Catalogue records: which operation (`op` of CatalogueOperation) and the object that it makes or acts on. */
  readonly operation?: string;
  readonly object?: number;
};

export interface PoolWorld {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly pageThreads?: PageThreads | undefined;
  readonly observer?: (event: PoolEvent) => void;
  /** Known bugs to plant, to prove that the simulator finds them (docs/simulation.md). */
  readonly plants?: ReadonlySet<string>;
}
