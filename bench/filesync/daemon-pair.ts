// The source's daemon and the target's, started when a group first needs them and shared by all groups but those that look at
// a process's memory.
import type { SuiteContext } from "../suite.ts";
import { ReplicaDaemon } from "./replica-daemon.ts";

export interface Daemons {
  readonly ourSource: ReplicaDaemon;
  readonly ourTarget: ReplicaDaemon;
}

export class DaemonPair implements AsyncDisposable {
  readonly #context: SuiteContext;
  readonly #name: string;
  #started: Promise<ReplicaDaemon[]> | undefined;

  /** `name`: of their folders. */
  constructor(context: SuiteContext, name: string) {
    this.#context = context;
    this.#name = name;
  }

  async both(): Promise<Daemons> {
    this.#started ??= Promise.all(
      ["source", "target"].map((end) => ReplicaDaemon.start(this.#context, `${this.#name}-${end}`)),
    );
    const [ourSource, ourTarget] = await this.#started;
    return { ourSource: ourSource!, ourTarget: ourTarget! };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of (await this.#started) ?? []) await daemon[Symbol.asyncDispose]();
  }
}
