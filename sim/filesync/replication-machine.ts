/**
 * Everything that one simulated replication consists of: the source's tree and process, the way, the target's process and
 * disk, and what is checked at every moment.
 *
 * Always holds: a dead process does nothing more; its journal and both trees outlive it.
 */
import { RopewalkError } from "../../src/base/errors.ts";
import {
  type Connector,
  Synchronization,
  type SynchronizationSettings,
  TargetLink,
} from "../../src/filesync/mod.ts";
import { type CheckFailed, check } from "../check-failed.ts";
import { DiskTrace } from "../disk-trace.ts";
import { SimulatedClock, type SimulatedProcess } from "../simulated-clock.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { ContentHistory } from "./content-history.ts";
import { SimulatedExchange } from "./simulated-exchange.ts";
import type { InotifyCounts, InotifyOptions } from "./simulated-inotify.ts";
import { SimulatedJournal } from "./simulated-journal.ts";
import { SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedSourceTree } from "./simulated-source-tree.ts";
import { SimulatedTarget } from "./simulated-target.ts";
import { SimulatedTargetDisk } from "./simulated-target-disk.ts";
import { SimulatedTree } from "./simulated-tree.ts";
import { WireRules } from "./wire-rules.ts";

export interface ReplicationOptions {
  readonly seed: number;
  readonly verbose: boolean;
  readonly plants: ReadonlySet<string>;
  readonly settings: SynchronizationSettings;
  readonly tickMs: number;
  readonly callMsMax: number;
  readonly latencyMsMax: number;
  readonly slowChance: number;
  readonly orderlyDisk: boolean;
  readonly selfFirst: boolean;
  readonly inotify: Pick<InotifyOptions, "queueMax" | "watchesMax" | "readMsMax" | "joinChance">;
}

const connectMsMax = 5;
/** Far more than any run needs that comes to an end. */
const turnsMax = 1_500_000;

export class ReplicationMachine {
  readonly clock = new SimulatedClock();
  readonly random: SimulatedRandom;
  readonly trace: DiskTrace;
  readonly history = new ContentHistory();
  readonly rules: WireRules;
  readonly source: SimulatedTree;
  readonly disk: SimulatedTargetDisk;
  readonly target: SimulatedTarget;
  readonly network: SimulatedNetwork;
  readonly events: InotifyCounts = { events: 0, overflows: 0, joined: 0 };
  readonly #options: ReplicationOptions;
  readonly #journal = new SimulatedJournal();
  readonly #id: Uint8Array;
  #process: SimulatedProcess;
  #tree: SimulatedSourceTree | undefined;
  #life = 0;
  /** Of the process that lives, by the number of the connection. */
  #exchanges = new Map<number, SimulatedExchange>();
  /** Of the process that lives. */
  synchronization!: Synchronization;

  constructor(options: ReplicationOptions) {
    const { clock, history } = this;
    this.#options = options;
    this.random = new SimulatedRandom(`${options.seed}/machine`);
    this.trace = new DiskTrace({ print: options.verbose });
    this.#id = this.random.bytes(16);
    const { tickMs, callMsMax, latencyMsMax, slowChance } = options;
    const nowMs = () => clock.nowMs;
    this.source = new SimulatedTree({ nowMs, tickMs, device: 1, selfFirst: options.selfFirst });
    this.source.contentChanged = ({ content }) => history.had(content);
    const tree = new SimulatedTree({ nowMs, tickMs, device: 2 });
    this.disk = new SimulatedTargetDisk(tree, {
      orderly: options.orderlyDisk,
      visible: (path, content) => history.checkShown(path, content),
    });
    const broken = (error: CheckFailed) => clock.fail(error);
    this.rules = new WireRules({ barrier: options.settings.barrier, broken });
    const { disk, rules } = this;
    const note = (what: string, path: string) => this.note(`target ${what}`, path);
    const random = this.random.fork("target");
    this.target = new SimulatedTarget({ clock, random, disk, rules, callMsMax, note });
    const networkRandom = this.random.fork("network");
    this.network = new SimulatedNetwork({ clock, random: networkRandom, latencyMsMax, slowChance });
    this.#process = clock.startProcess();
  }

  get isSourceAlive(): boolean {
    return !this.#process.dead;
  }

  note(what: string, path: string): void {
    this.trace.note(`${this.clock.nowMs.toFixed(3)} ${what}`, JSON.stringify(path));
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.clock.run(work, { turnsMax, timeMsMax: 3_600_000 });
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.schedule(ms, resolve));
  }

  startSource(): void {
    const { plants, settings } = this.#options;
    this.#process = this.clock.startProcess();
    this.#life++;
    this.#exchanges = new Map();
    this.note("source starts", String(this.#life));
    const process = this.#process;
    const random = this.random.fork(`source ${this.#life}`);
    this.synchronization = new Synchronization({
      name: "simulated",
      source: "/source",
      openSource: async () => (this.#tree = this.#openTree(process, random)),
      targets: [{ to: "/target", name: "target", connector: this.#connector(process, random) }],
      id: this.#id,
      journal: this.#journal.open(() => !process.dead),
      clock: process,
      random,
      report: (sentence) => {
        if (!process.dead) this.note("report", sentence);
      },
      settings,
      plants,
    });
    this.synchronization.start();
  }

  /** F5: a bulk is over, so no copy is under way, neither at the target nor on the way. */
  finished(): void {
    this.rules.finished();
    for (const [number, exchange] of this.#exchanges)
      check(
        number === 0 || exchange.changes === 0,
        "F5",
        () => `a synchronization is finished while connection ${number} sends copies`,
      );
  }

  /** SIGKILL. */
  killSource(): void {
    this.note("source dies", "");
    this.#process.kill();
    void this.#tree?.close();
    this.#tree = undefined;
    this.network.cutDead();
  }

  killTarget(how: "process" | "power"): void {
    this.note("target dies", how);
    if (how === "power") this.target.losePower();
    else this.target.kill();
    this.network.cutDead();
  }

  #openTree(process: SimulatedProcess, random: SimulatedRandom): SimulatedSourceTree {
    const { callMsMax, inotify } = this.#options;
    const { events: counts, history } = this;
    const tree = { clock: process, random: random.fork("tree"), callMsMax, inotify, counts, history };
    return new SimulatedSourceTree(this.source, tree);
  }

  #connector(process: SimulatedProcess, random: SimulatedRandom): Connector {
    const life = this.#life;
    const { network, target } = this;
    return {
      connect: async (number) => {
        await new Promise<void>((resolve) => void process.after(random.fraction() * connectMsMax, resolve));
        // Nothing answers, and nothing refuses.
        if (network.isHole) await new Promise<never>(() => undefined);
        if (network.isDown || !target.isAlive)
          throw new RopewalkError("UNREACHABLE", "The simulated target cannot be reached.");
        const exchange = new SimulatedExchange(process);
        const end = target.accept(life);
        const wire = network.wire(exchange.end, end.end);
        exchange.opened(wire);
        this.#exchanges.set(number, exchange);
        end.opened(wire);
        return new TargetLink({
          exchange,
          random,
          key: undefined,
          connections: this.#options.settings.threads,
          sourceHost: "simulated",
          sourceDirectory: "/source",
        });
      },
    };
  }
}
