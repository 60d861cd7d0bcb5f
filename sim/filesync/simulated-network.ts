/**
 * The way between a source and a target: connections whose messages take time, stall, vanish in a black hole, or end with
 * the connection at any point.
 *
 * Always holds: messages of one direction of a connection arrive in their order, or not at all from some point on. An end
 * learns of a cut late, or not before it tries; the two ends learn of it at different times.
 */
import type { Frame, FrameReader } from "../../src/wire/filesync/mod.ts";
import type { SimulatedClock } from "../simulated-clock.ts";
import type { SimulatedRandom } from "../simulated-random.ts";

/** One end of a connection. */
export interface NetworkEnd {
  /** Alive, so that something can arrive. */
  readonly isAlive: () => boolean;
  readonly reader: FrameReader;
  readonly took: (frame: Frame) => void;
  /** The connection is over, as far as this end can know. */
  readonly ended: () => void;
}

export interface NetworkOptions {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly latencyMsMax: number;
  /** How often a connection is many times slower than the others. */
  readonly slowChance: number;
}

const slowFactor = 40;

export class SimulatedNetwork {
  readonly options: NetworkOptions;
  readonly #wires = new Set<SimulatedWire>();
  /** Nobody can connect. */
  isDown = false;
  #isHole = false;
  #stalledUntilMs = 0;
  cuts = 0;

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  get isHole(): boolean {
    return this.#isHole;
  }

  /** While it is one, nothing arrives; what was sent arrives afterwards. */
  set isHole(isHole: boolean) {
    this.#isHole = isHole;
    if (!isHole) for (const wire of this.#wires) wire.flush();
  }

  stall(ms: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.options.clock.nowMs + ms);
  }

  latencyMs(factor = 1): number {
    const { clock, random, latencyMsMax } = this.options;
    return random.fraction() * latencyMsMax * factor + Math.max(0, this.#stalledUntilMs - clock.nowMs);
  }

  wire(source: NetworkEnd, target: NetworkEnd): SimulatedWire {
    const wire = new SimulatedWire(this, { source, target, over: () => this.#wires.delete(wire) });
    this.#wires.add(wire);
    return wire;
  }

  /** One of the connections, or all. */
  cut(which: "one" | "all"): void {
    const { random } = this.options;
    const wires = [...this.#wires];
    if (wires.length === 0) return;
    for (const wire of which === "all" ? wires : [random.pick(wires)]) wire.cut();
  }

  /** Connections of an end that died. */
  cutDead(): void {
    for (const wire of [...this.#wires]) if (wire.hasDeadEnd) wire.cut();
  }
}

interface Message {
  readonly to: NetworkEnd;
  readonly parts: readonly Uint8Array[];
  readonly arrived: () => void;
}

export class SimulatedWire {
  readonly #network: SimulatedNetwork;
  readonly #ends: { readonly source: NetworkEnd; readonly target: NetworkEnd };
  readonly #over: () => void;
  readonly #lastMs = { source: 0, target: 0 };
  #held: Message[] = [];
  readonly #factor: number;
  #isCut = false;

  constructor(
    network: SimulatedNetwork,
    options: { readonly source: NetworkEnd; readonly target: NetworkEnd; readonly over: () => void },
  ) {
    this.#network = network;
    this.#ends = options;
    this.#over = options.over;
    this.#factor = network.options.random.chance(network.options.slowChance) ? slowFactor : 1;
  }

  get hasDeadEnd(): boolean {
    return !this.#ends.source.isAlive() || !this.#ends.target.isAlive();
  }

  /** `arrived` is called when the other end has it. */
  send(to: "source" | "target", parts: readonly Uint8Array[], arrived: () => void = () => undefined): void {
    const { clock } = this.#network.options;
    const atMs = Math.max(this.#lastMs[to], clock.nowMs + this.#network.latencyMs(this.#factor));
    this.#lastMs[to] = atMs;
    const message = { to: this.#ends[to], parts, arrived };
    clock.schedule(atMs - clock.nowMs, () => {
      if (this.#network.isHole || this.#held.some((other) => other.to === message.to))
        this.#held.push(message);
      else this.#deliver(message);
    });
  }

  /** The hole is gone. */
  flush(): void {
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.#deliver(message);
  }

  /** Both ends learn of it sooner or later. */
  cut(): void {
    if (this.#isCut) return;
    this.#network.cuts++;
    this.#end();
    const { clock, random } = this.#network.options;
    const { source, target } = this.#ends;
    clock.schedule(random.fraction() * 20, () => source.ended());
    clock.schedule(random.fraction() * random.pick([1, 20, 2000]), () => target.ended());
  }

  /** The source closes it; what it sent before is still delivered. */
  close(): void {
    const { clock, random } = this.#network.options;
    const { target } = this.#ends;
    clock.schedule(this.#network.latencyMs() + random.fraction() * random.pick([1, 1, 500]), () => {
      this.#end();
      target.ended();
    });
  }

  #end(): void {
    this.#isCut = true;
    this.#held = [];
    this.#over();
  }

  #deliver({ to, parts, arrived }: Message): void {
    if (this.#isCut || !to.isAlive()) return;
    arrived();
    for (const frame of to.reader.push(Buffer.concat(parts))) to.took(frame);
  }
}
