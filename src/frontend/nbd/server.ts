/**
 * The NBD server: listens, keeps its connections within the limits, ends them in good order.
 *
 * Always holds: all connections share one pool of chunks and one budget of bytes in work; `close` resolves when
 * the last connection has released its export.
 */
import type {
  Clock,
  Listener,
  Network,
  PageThreads,
  Peer,
  StreamAddress,
  StreamReceiver,
  Timer,
} from "../../ports/mod.ts";
import { ByteBudget, ChunkPool, MemoryRelief } from "../stream/mod.ts";
import { Connection } from "./connection.ts";
import { NbdCounters } from "./counters.ts";
import type { NbdExports } from "./exports.ts";
import type { TlsMode } from "./handshake.ts";
import { DEFAULT_NBD_LIMITS, type NbdLimits } from "./limits.ts";

export interface NbdServerOptions {
  readonly exports: NbdExports;
  readonly clock: Clock;
  readonly limits?: Partial<NbdLimits>;
  readonly pageThreads?: PageThreads | undefined;
  /** Told why a connection was closed by us: its peer and a sentence. */
  readonly report?: (peer: string, sentence: string) => void;
}

/** How often overdue connections are looked for, within these bounds. */
const CHECK_INTERVAL_MS_MIN = 20;
const CHECK_INTERVAL_MS_MAX = 2_000;
/** Of the memory for requests in work, this part is kept for connections that have little of it. */
const RESERVED_PART = 1 / 8;

export class NbdServer {
  readonly counters = new NbdCounters();
  readonly #exports: NbdExports;
  readonly #clock: Clock;
  readonly #limits: NbdLimits;
  readonly #report: (peer: string, sentence: string) => void;
  readonly #pool: ChunkPool;
  readonly #budget: ByteBudget;
  readonly #relief: MemoryRelief;
  readonly #connections = new Set<Connection>();
  readonly #listeners: Listener[] = [];
  #checkTimer: Timer | undefined;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(options: NbdServerOptions) {
    this.#exports = options.exports;
    this.#clock = options.clock;
    this.#limits = { ...DEFAULT_NBD_LIMITS, ...options.limits };
    this.#report = options.report ?? (() => {});
    this.#pool = new ChunkPool(options.pageThreads);
    const { totalBytesMax, connectionBytesMax, connectionsMax, wantedStallTimeoutMs } = this.#limits;
    const spareBytes = Math.max(0, totalBytesMax - connectionBytesMax);
    this.#budget = new ByteBudget({
      limitBytes: totalBytesMax,
      fairBytes: Math.floor(totalBytesMax / connectionsMax),
      reservedBytes: Math.min(totalBytesMax * RESERVED_PART, spareBytes),
      short: () => this.#relief.begin(this.#budget),
    });
    this.#relief = new MemoryRelief({
      clock: this.#clock,
      stallMs: wantedStallTimeoutMs,
      connections: this.#connections,
    });
  }

  /** Bytes of memory that connections hold for what they receive and send, and for requests in work. */
  get memory(): { readonly chunkBytes: number; readonly inWorkBytes: number } {
    return { chunkBytes: this.#pool.usedBytes, inWorkBytes: this.#budget.usedBytes };
  }

  /** Serves at `address`; resolves with the address in use. ADDRESS_IN_USE */
  async listen(
    network: Network,
    address: StreamAddress,
    tls: TlsMode = { mode: "none" },
  ): Promise<StreamAddress> {
    const listener = await network.listen(address, (peer) => this.accept(peer, tls));
    this.#listeners.push(listener);
    return listener.address;
  }

  /** A client came; undefined refuses it. */
  accept(_peer: Peer, tls: TlsMode): StreamReceiver | undefined {
    if (this.#closing !== undefined || this.#connections.size >= this.#limits.connectionsMax) {
      this.counters.connectionsRefused++;
      return undefined;
    }
    this.counters.connectionsAccepted++;
    const connection = new Connection({
      exports: this.#exports,
      tls,
      limits: this.#limits,
      pool: this.#pool,
      budget: this.#budget,
      counters: this.counters,
      nowMs: () => this.#clock.nowMs(),
      soon: (action) => this.#clock.soon(action),
      ended: (over) => this.#ended(over),
      report: this.#report,
    });
    this.#connections.add(connection);
    this.counters.connections = this.#connections.size;
    if (this.#checkTimer === undefined) this.#checkLater();
    return connection;
  }

  /** Accepts no more, answers what is in work, closes; clients that do not let go are cut off after `graceMs`. */
  async close(options: { graceMs: number } = { graceMs: 5_000 }): Promise<void> {
    this.#closing ??= Promise.withResolvers<void>();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    for (const connection of this.#connections) connection.finish();
    const cut = this.#clock.after(options.graceMs, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    if (this.#connections.size > 0) await this.#closing.promise;
    cut.cancel();
    this.#checkTimer?.cancel();
    this.#relief.stop();
  }

  #ended(connection: Connection): void {
    this.#connections.delete(connection);
    this.counters.connections = this.#connections.size;
    if (this.#connections.size === 0) this.#closing?.resolve();
  }

  #checkLater(): void {
    const { handshakeTimeoutMs, payloadTimeoutMs, replyTimeoutMs } = this.#limits;
    const wanted = Math.min(handshakeTimeoutMs, payloadTimeoutMs, replyTimeoutMs) / 4;
    const delayMs = Math.max(CHECK_INTERVAL_MS_MIN, Math.min(CHECK_INTERVAL_MS_MAX, wanted));
    this.#checkTimer = this.#clock.after(delayMs, () => {
      this.#checkTimer = undefined;
      for (const connection of this.#connections) connection.check();
      if (this.#connections.size > 0) this.#checkLater();
    });
  }
}
