// A relay between a source and a target, in a process of its own: counts bytes, and delays and stalls them as a long way
// would.
import { ChildScript } from "./child-script.ts";
import type { Destination } from "./replica-daemon.ts";

export interface RelayOptions {
  /** Where it passes things on to, on loopback. */
  readonly port: number;
  /** One way. */
  readonly delayMs?: number;
  /** Of the pieces read from a socket, 0 to 1, that hold up what is behind them for `stallMs`. */
  readonly stallShare?: number;
  readonly stallMs?: number;
  /** On the way in one direction of one connection; what comes beyond waits at the sender, as TCP's window would have it. */
  readonly windowBytes?: number;
  readonly seed?: number;
}

export type RelayQuestion =
  | { readonly ask: "listen"; readonly options: RelayOptions }
  | { readonly ask: "bytes" };
export type RelayAnswer = { readonly port: number } | { readonly bytes: number };

export class Relay implements AsyncDisposable {
  readonly #script: ChildScript<RelayQuestion, RelayAnswer>;
  readonly #port: number;

  private constructor(script: ChildScript<RelayQuestion, RelayAnswer>, port: number) {
    this.#script = script;
    this.#port = port;
  }

  static async start(options: RelayOptions): Promise<Relay> {
    const script = new ChildScript<RelayQuestion, RelayAnswer>("relay-child.ts");
    const answer = await script.ask({ ask: "listen", options });
    if (!("port" in answer)) throw new Error("the relay said no port");
    return new Relay(script, answer.port);
  }

  /** The same target by way of this relay. */
  before(destination: Destination): Destination {
    return { ...destination, port: this.#port };
  }

  /** Passed on since it began, both directions of all connections. */
  async bytes(): Promise<number> {
    const answer = await this.#script.ask({ ask: "bytes" });
    if (!("bytes" in answer)) throw new Error("the relay did not say how many bytes");
    return answer.bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script[Symbol.asyncDispose]();
  }
}
