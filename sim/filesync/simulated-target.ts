/**
 * The target's daemon: the program's own roots and sessions over the simulated disk.
 *
 * Always holds: the process may die at any moment, and the power with it; nothing of a dead process is done or told any
 * more.
 */
import { asRopewalkError } from "../../src/base/errors.ts";
import { type Admission, TargetRoots, TargetSession } from "../../src/filesync/mod.ts";
import {
  FRAME_BYTES_MAX,
  type Frame,
  FrameReader,
  packError,
  packReply,
  readRequest,
} from "../../src/wire/filesync/mod.ts";
import type { SimulatedClock, SimulatedProcess } from "../simulated-clock.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import { ObservedTargetTree } from "./observed-target-tree.ts";
import type { NetworkEnd, SimulatedWire } from "./simulated-network.ts";
import type { SimulatedTargetDisk } from "./simulated-target-disk.ts";
import { SimulatedTargetTree } from "./simulated-target-tree.ts";
import type { WireRules } from "./wire-rules.ts";

export interface SimulatedTargetOptions {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly disk: SimulatedTargetDisk;
  readonly rules: WireRules;
  readonly callMsMax: number;
  readonly note: (what: string, path: string) => void;
}

interface Daemon {
  readonly process: SimulatedProcess;
  readonly roots: TargetRoots;
}

const abilities = {
  extendedAttributes: true,
  accessControlLists: true,
  deviceNodes: true,
  ownership: true,
  foldsCase: false,
  modeBits: 0o7777,
  timeStepNanoseconds: 1,
  nameBytesMax: 255,
};

export class SimulatedTarget {
  readonly #options: SimulatedTargetOptions;
  #daemon: Daemon;

  constructor(options: SimulatedTargetOptions) {
    this.#options = options;
    this.#daemon = this.#started();
  }

  get isAlive(): boolean {
    return !this.#daemon.process.dead;
  }

  /** SIGKILL. */
  kill(): void {
    this.#daemon.process.kill();
    this.#options.rules.died();
  }

  losePower(): void {
    this.kill();
    this.#options.disk.powerFails(this.#options.random);
  }

  start(): void {
    this.#daemon = this.#started();
  }

  #started(): Daemon {
    const { clock, disk, random, callMsMax, note } = this.#options;
    const process = clock.startProcess();
    const roots = new TargetRoots({
      random,
      canonical: async (path) => path,
      open: async () => ({
        tree: new SimulatedTargetTree(disk, { clock: process, random, callMsMax, note }),
        abilities,
      }),
    });
    return { process, roots };
  }

  /** The target's end of a new connection, of one life of the source. */
  accept(life: number): { readonly end: NetworkEnd; opened(wire: SimulatedWire): void } {
    const { process, roots } = this.#daemon;
    let wire: SimulatedWire | undefined;
    let closing: Promise<void> | undefined;
    const close = () => (closing ??= session.close());
    const admission = roots.admission({ find: () => ({ path: "/target", key: undefined }), end: close });
    const session = new TargetSession(this.#observed(admission, life));
    const send = (parts: readonly Uint8Array[]) => {
      if (process.dead || closing !== undefined) return;
      wire?.send(
        "source",
        parts.map((part) => new Uint8Array(part)),
      );
    };
    const answer = async (frame: Frame) => {
      try {
        send(packReply(frame.id, await session.handle(readRequest(frame))));
      } catch (error) {
        if (!(error instanceof Error && error.name === "RopewalkError")) this.#options.clock.fail(error);
        const { code, message } = asRopewalkError(error);
        send(packError(frame.id, code, message));
      }
    };
    const end: NetworkEnd = {
      isAlive: () => !process.dead && closing === undefined,
      reader: new FrameReader({ bytesMax: FRAME_BYTES_MAX, takes: "requests" }),
      took: (frame) => void answer(frame),
      ended: () => void close(),
    };
    return { end, opened: (opened) => (wire = opened) };
  }

  /** The same, with what the connection does told to the rules. */
  #observed(admission: Admission, life: number): Admission {
    const { rules } = this.#options;
    return {
      hello: async (hello) => {
        const { reply, root } = await admission.hello(hello);
        if (root === undefined) return { reply, root };
        const connection = { life, number: hello.connection, connections: hello.connections };
        rules.saidHello(connection);
        return { reply, root: { ...root, tree: new ObservedTargetTree(root.tree, { connection, rules }) } };
      },
      left: () => admission.left(),
    };
  }
}
