/**
 * The iSCSI server: listens on portals, keeps its connections within the limits, ends them in good order.
 *
 * Always holds: all connections share one pool of chunks and one budget of bytes in work; `close` resolves when the last
 * connection has let go of its target.
 */
import { RopewalkError } from "../../base/errors.ts";
import type {
  Clock,
  Listener,
  Network,
  PageThreads,
  Peer,
  Random,
  StreamAddress,
  StreamReceiver,
  Timer,
} from "../../ports/mod.ts";
import { ByteBudget, ChunkPool, MemoryRelief } from "../stream/mod.ts";
import { Connection } from "./connection.ts";
import { IscsiCounters } from "./counters.ts";
import { checkLimits, DEFAULT_ISCSI_LIMITS, type IscsiLimits } from "./limits.ts";
import { SessionTable } from "./session-table.ts";
import type { IscsiPortal, IscsiTargetTable } from "./target-table.ts";

export interface IscsiServerOptions {
  readonly targets: IscsiTargetTable;
  readonly clock: Clock;
  /** For CHAP's challenges. */
  readonly random: Random;
  readonly limits?: Partial<IscsiLimits>;
  /** Portals that SendTargets names besides those that `listen` opened: what a gateway forwards to them. */
  readonly portals?: readonly IscsiPortal[];
  readonly pageThreads?: PageThreads | undefined;
  /** Told why a connection was closed by us, or a login refused: its peer and a sentence. */
  readonly report?: (peer: string, sentence: string) => void;
}

/** How often overdue connections are looked for, within these bounds. */
const CHECK_INTERVAL_MS_MIN = 20;
const CHECK_INTERVAL_MS_MAX = 2_000;
const PORTALS_MAX = 64;
/** Of the memory for commands in work, this part is kept for connections that have little of it. */
const RESERVED_PART = 1 / 8;

export class IscsiServer {
  readonly counters = new IscsiCounters();
  readonly #targets: IscsiTargetTable;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: IscsiLimits;
  readonly #report: (peer: string, sentence: string) => void;
  readonly #pool: ChunkPool;
  readonly #budget: ByteBudget;
  readonly #waitingBudget: ByteBudget;
  readonly #relief: MemoryRelief;
  readonly #sessions: SessionTable;
  readonly #portals: IscsiPortal[];
  readonly #connections = new Set<Connection>();
  readonly #listeners: Listener[] = [];
  #checkTimer: Timer | undefined;
  #closing: PromiseWithResolvers<void> | undefined;

  /** INVALID_CONFIG when the limits contradict each other. */
  constructor(options: IscsiServerOptions) {
    this.#targets = options.targets;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#limits = { ...DEFAULT_ISCSI_LIMITS, ...options.limits };
    checkLimits(this.#limits);
    this.#report = options.report ?? (() => {});
    this.#portals = [...(options.portals ?? [])];
    this.#pool = new ChunkPool(options.pageThreads);
    const { totalBytesMax, connectionBytesMax, connectionsMax, waitingBytesMax } = this.#limits;
    this.#budget = new ByteBudget({
      limitBytes: totalBytesMax,
      fairBytes: Math.floor(totalBytesMax / connectionsMax),
      reservedBytes: Math.min(totalBytesMax * RESERVED_PART, totalBytesMax - connectionBytesMax),
      short: () => this.#relief.begin(this.#budget),
    });
    this.#waitingBudget = new ByteBudget({ limitBytes: waitingBytesMax });
    this.#relief = new MemoryRelief({
      clock: this.#clock,
      stallMs: this.#limits.wantedDataTimeoutMs,
      connections: this.#connections,
    });
    this.#sessions = new SessionTable(this.#limits.sessionsMax);
  }

  /** Bytes of memory that connections hold for what they receive and send, and for commands in work. */
  get memory(): { readonly chunkBytes: number; readonly inWorkBytes: number } {
    return {
      chunkBytes: this.#pool.usedBytes,
      inWorkBytes: this.#budget.usedBytes + this.#waitingBudget.usedBytes,
    };
  }

  /** What SendTargets names. */
  get portals(): readonly IscsiPortal[] {
    return this.#portals;
  }

  /**
   * Serves at a TCP `address` as a portal of the group; resolves with the address in use.
   * ADDRESS_IN_USE; INVALID_CONFIG for an address or portal that cannot be.
   */
  async listen(
    network: Network,
    address: StreamAddress,
    place: Omit<IscsiPortal, "address">,
  ): Promise<StreamAddress> {
    checkPortal(address, place);
    if (this.#portals.length >= PORTALS_MAX)
      throw new RopewalkError("INVALID_CONFIG", `iSCSI has at most ${PORTALS_MAX} portals`);
    let portal: IscsiPortal = { ...place, address: portalAddress(address) };
    const listener = await network.listen(address, (peer) => this.accept(peer, portal));
    portal = { ...place, address: portalAddress(listener.address) };
    this.#portals.push(portal);
    this.#listeners.push(listener);
    return listener.address;
  }

  /** An initiator came to a portal; undefined refuses it. */
  accept(_peer: Peer, portal: IscsiPortal): StreamReceiver | undefined {
    if (this.#closing !== undefined || this.#connections.size >= this.#limits.connectionsMax) {
      this.counters.connectionsRefused++;
      return undefined;
    }
    this.counters.connectionsAccepted++;
    const connection = new Connection({
      targets: this.#targets,
      portals: () => (this.#portals.length > 0 ? this.#portals : [portal]),
      portal,
      sessions: this.#sessions,
      limits: this.#limits,
      pool: this.#pool,
      budget: this.#budget,
      waitingBudget: this.#waitingBudget,
      counters: this.counters,
      random: this.#random,
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

  /**
   * Accepts no more and asks initiators to log out; after half of `graceMs` their connections take no more requests and
   * end when what is in work was answered; after all of it they are cut off.
   */
  async close(options: { graceMs: number } = { graceMs: 5_000 }): Promise<void> {
    this.#closing ??= Promise.withResolvers<void>();
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    const { graceMs } = options;
    for (const connection of this.#connections) connection.requestLogout(Math.ceil(graceMs / 2000));
    const last = this.#clock.after(graceMs / 2, () => {
      for (const connection of this.#connections) connection.announceEnd();
    });
    const cut = this.#clock.after(graceMs, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    if (this.#connections.size > 0) await this.#closing.promise;
    last.cancel();
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
    const { loginTimeoutMs, dataTimeoutMs, replyTimeoutMs, pingIntervalMs, pingTimeoutMs } = this.#limits;
    const wantedMs =
      Math.min(loginTimeoutMs, dataTimeoutMs, replyTimeoutMs, pingIntervalMs, pingTimeoutMs) / 4;
    const delayMs = Math.max(CHECK_INTERVAL_MS_MIN, Math.min(CHECK_INTERVAL_MS_MAX, wantedMs));
    this.#checkTimer = this.#clock.after(delayMs, () => {
      this.#checkTimer = undefined;
      for (const connection of this.#connections) connection.check();
      if (this.#connections.size > 0) this.#checkLater();
    });
  }
}

function checkPortal(address: StreamAddress, place: Omit<IscsiPortal, "address">): void {
  const { portalGroupTag, relativePort } = place;
  if (address.kind !== "tcp") throw new RopewalkError("INVALID_CONFIG", "an iSCSI portal is a TCP address");
  if (!Number.isInteger(portalGroupTag) || portalGroupTag < 0 || portalGroupTag > 0xffff)
    throw new RopewalkError("INVALID_CONFIG", "a portal group tag is 0 to 65535");
  if (!Number.isInteger(relativePort) || relativePort < 1 || relativePort > 0xffff)
    throw new RopewalkError("INVALID_CONFIG", "a relative target port is 1 to 65535");
}

function portalAddress(address: StreamAddress): string {
  if (address.kind !== "tcp") return "";
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}
