// A target that does not wait until data is on the disk, as rsync's daemon does not: the receiving end alone, in a process
// of its own. The daemon itself has no such setting.
import { ChildScript } from "./child-script.ts";
import type { Destination } from "./replica-daemon.ts";

export interface UndurableQuestion {
  readonly root: string;
}

export class UndurableReceiver implements AsyncDisposable {
  readonly #script: ChildScript<UndurableQuestion, Destination>;
  readonly destination: Destination;

  private constructor(script: ChildScript<UndurableQuestion, Destination>, destination: Destination) {
    this.#script = script;
    this.destination = destination;
  }

  /** `root`: an existing directory. */
  static async start(root: string): Promise<UndurableReceiver> {
    // With the heap's settings of bin/ropewalk, as the daemon runs.
    const script = new ChildScript<UndurableQuestion, Destination>("undurable-receiver-child.ts", [
      "--max-semi-space-size=2",
      "--heap-growing-percent=50",
      "--no-parallel-scavenge",
      "--no-flush-bytecode",
    ]);
    return new UndurableReceiver(script, await script.ask({ root }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script[Symbol.asyncDispose]();
  }
}
