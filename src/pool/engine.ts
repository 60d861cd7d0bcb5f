/**
 * The parts of an open pool, put together once; the rooms inside the pool take what they need from here.
 * Always holds: changes to maps happen in turns of the loop, each with the record that says them.
 */
import { RopewalkError } from "../base/errors.ts";
import { MetadataStore } from "./checkpoint/metadata-store.ts";
import { Log } from "./log/log.ts";
import { Segments } from "./log/segments.ts";
import { NodeCache } from "./map/node-cache.ts";
import { NodeTable } from "./map/node-table.ts";
import { ReclaimQueue } from "./map/reclaim-queue.ts";
import { Tree } from "./map/tree.ts";
import type { PoolCounters, PoolSettings } from "./pool-api.ts";
import { Slices } from "./slices.ts";
import { Catalogue } from "./volume/catalogue.ts";
import type { PoolWorld } from "./world.ts";

export class Engine {
  readonly world: PoolWorld;
  readonly settings: PoolSettings;
  readonly counters: PoolCounters = {
    clientBytesWritten: 0,
    logBytesWritten: 0,
    collectorBytesWritten: 0,
    metadataBytesWritten: 0,
    clientBytesRead: 0,
    nodeFetches: 0,
    syncs: 0,
    checkpoints: 0,
    segmentsCollected: 0,
    checksumErrors: 0,
  };
  readonly slices: Slices;
  readonly segments: Segments;
  readonly store: MetadataStore;
  readonly nodes = new NodeTable();
  readonly cache: NodeCache;
  readonly reclaim = new ReclaimQueue();
  readonly tree: Tree;
  readonly log: Log;
  catalogue = new Catalogue();

  /** Log position, records since the last cut. */
  cutBytes = 0;
  cutRecords = 0;
  /** Waits for the running (or a new) checkpoint; set by the checkpointer. */
  awaitCheckpoint: () => Promise<void> = () => Promise.resolve();
  /** Asks for a checkpoint soon. */
  wantCheckpoint: () => void = () => undefined;
  /** Frees what can be freed when the pool is full; resolves to whether it is worth trying again. */
  makeSpace: () => Promise<boolean> = () => Promise.resolve(false);
  #evictPlanned = false;

  constructor(world: PoolWorld, settings: PoolSettings) {
    this.world = world;
    this.settings = settings;
    this.slices = new Slices(world.clock);
    this.segments = new Segments(world, settings);
    this.store = new MetadataStore(this.segments, this.counters, world.pageThreads);
    this.cache = new NodeCache(this.nodes, this.store, this.counters, () => settings.nodeCacheBytes);
    this.cache.onPressure = () => this.planEviction();
    this.tree = new Tree(this.cache, this.segments, this.reclaim, world.plants);
    this.log = new Log(world, this.segments, settings, this.counters);
  }

  /** Brings in the node that an operation missed. */
  async fetchMissing(): Promise<void> {
    try {
      await this.cache.fetch(this.tree.missing);
    } catch (error) {
      // Dropped meanwhile: whoever looked it up looks again and finds something else.
      if (!(error instanceof RopewalkError && error.code === "CANCELLED")) throw error;
    }
  }

  /** Lets nodes go once this turn's operations are through. */
  planEviction(): void {
    if (this.#evictPlanned || this.cache.bytes <= this.settings.nodeCacheBytes) return;
    this.#evictPlanned = true;
    this.world.clock.soon(() => {
      this.#evictPlanned = false;
      if (this.cache.evict()) this.planEviction();
    });
  }

  /**
   * Whether a record may be appended in this turn: undefined, or what to wait for before asking again.
   * Privileged records are the small ones that give space back or cost none.
   */
  admit(
    dataBytes: number,
    payloadBytes: number,
    options: { privileged: boolean },
  ): Promise<void> | undefined {
    const { log, settings, cache } = this;
    if (!log.ready(dataBytes, payloadBytes, options.privileged))
      return this.#makeReady(dataBytes, payloadBytes, options.privileged);
    const bytes = log.appendedBytes - this.cutBytes;
    const records = log.sequence - this.cutRecords;
    if (
      bytes * 2 < settings.checkpointBytes &&
      records * 2 < settings.checkpointRecords &&
      cache.dirtyBytes * 2 < settings.checkpointNodeBytes
    )
      return undefined;
    this.wantCheckpoint();
    if (
      bytes < settings.checkpointBytes &&
      records < settings.checkpointRecords &&
      cache.dirtyBytes < settings.checkpointNodeBytes
    )
      return undefined;
    return this.awaitCheckpoint();
  }

  async #makeReady(dataBytes: number, payloadBytes: number, privileged: boolean): Promise<void> {
    for (;;) {
      try {
        return await this.log.makeReady(dataBytes, payloadBytes, privileged);
      } catch (error) {
        if (!(error instanceof RopewalkError && error.code === "NO_SPACE")) throw error;
        if (!(await this.makeSpace())) throw error;
      }
    }
  }
}

/**
 * Runs an attempt until it is through. `attempt` does its change within one turn and returns undefined, or
 * changes nothing and returns what to wait for.
 */
export async function persist(wait: Promise<void>, attempt: () => Promise<void> | undefined): Promise<void> {
  let waiting: Promise<void> | undefined = wait;
  while (waiting !== undefined) {
    await waiting;
    waiting = attempt();
  }
}
