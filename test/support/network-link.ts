// Two network namespaces and a link of a set rate between them, made with `ip` and `tc`: it can be cut, and it can swallow
// everything without a word. Both are removed at the end, and when this process ends.
import { spawnSync } from "node:child_process";
import { undoAtExit } from "./leftovers.ts";
import { runProgram } from "./run-program.ts";

/** What `needs` must be asked for. */
export const NETWORK_LINK_NEEDS = ["root", "ip", "tc", "network link"] as const;
/** Nobody's: what is sent there is dropped by the other end without an answer. */
const NOBODY = "02:00:00:00:00:99";
let links = 0;

export interface LinkEnd {
  readonly namespace: string;
  readonly address: string;
  /** The interface in its namespace. */
  readonly device: string;
}

export class NetworkLink implements AsyncDisposable {
  readonly near: LinkEnd;
  readonly far: LinkEnd;
  readonly #forget: () => void;

  private constructor() {
    links += 1;
    const name = `ropewalk-${process.pid}-${links}`;
    this.near = { namespace: `${name}-near`, address: "10.231.7.1", device: "near" };
    this.far = { namespace: `${name}-far`, address: "10.231.7.2", device: "far" };
    this.#forget = undoAtExit(() => {
      for (const { namespace } of this.#ends) spawnSync("ip", ["netns", "delete", namespace]);
    });
  }

  /** `rate`: of each direction, as tc(8) writes it. */
  static async start({ rate }: { readonly rate: string }): Promise<NetworkLink> {
    const link = new NetworkLink();
    const { near, far } = link;
    try {
      for (const { namespace } of link.#ends) await runProgram("ip", ["netns", "add", namespace]);
      const pair = ["type", "veth", "peer", "name", far.device, "netns", far.namespace];
      await runProgram("ip", ["link", "add", near.device, "netns", near.namespace, ...pair]);
      for (const end of link.#ends) {
        await at(end, "address", "add", `${end.address}/24`, "dev", end.device);
        for (const device of ["lo", end.device]) await at(end, "link", "set", device, "up");
        const shape = ["tbf", "rate", rate, "burst", "32kbit", "latency", "200ms"];
        await runProgram("tc", ["-n", end.namespace, "qdisc", "add", "dev", end.device, "root", ...shape]);
      }
    } catch (error) {
      await link[Symbol.asyncDispose]();
      throw error;
    }
    return link;
  }

  get #ends(): readonly LinkEnd[] {
    return [this.near, this.far];
  }

  /** As an unplugged cable. */
  async cut(): Promise<void> {
    await at(this.near, "link", "set", this.near.device, "down");
  }

  async mend(): Promise<void> {
    await at(this.near, "link", "set", this.near.device, "up");
  }

  /** A black hole: nothing arrives any more at either end, and nobody is told. */
  async swallow(): Promise<void> {
    for (const [end, other] of this.#directions)
      await at(
        end,
        "neigh",
        "replace",
        other.address,
        "lladdr",
        NOBODY,
        "nud",
        "permanent",
        "dev",
        end.device,
      );
  }

  async deliver(): Promise<void> {
    for (const [end, other] of this.#directions)
      await at(end, "neigh", "delete", other.address, "dev", end.device);
  }

  get #directions(): readonly [LinkEnd, LinkEnd][] {
    return [
      [this.near, this.far],
      [this.far, this.near],
    ];
  }

  /** The link goes with its namespaces; a process that is still in one keeps it until it ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of this.#ends) spawnSync("ip", ["netns", "delete", namespace]);
    this.#forget();
  }
}

function at({ namespace }: LinkEnd, ...words: string[]): Promise<string> {
  return runProgram("ip", ["-n", namespace, ...words]);
}
