// A synchronization of one directory to another in this process, without a daemon: what the real one is made of.
import { realpath } from "node:fs/promises";
import {
  DEFAULT_SYNCHRONIZATION_SETTINGS,
  localConnector,
  Synchronization,
  type SynchronizationSettings,
  TargetRoots,
} from "../../src/filesync/mod.ts";
import { hostClock, hostRandom, openSourceTree, openTargetTree } from "../../src/host/mod.ts";

export interface LocalReplicaOptions extends Partial<SynchronizationSettings> {
  readonly source: string;
  readonly target: string;
}

export class LocalReplica implements AsyncDisposable {
  readonly synchronization: Synchronization;
  /** What it said. */
  readonly reports: string[] = [];

  constructor({ source, target, ...settings }: LocalReplicaOptions) {
    const whole = { ...DEFAULT_SYNCHRONIZATION_SETTINGS, ...settings };
    const roots = new TargetRoots({
      random: hostRandom,
      canonical: (path) => realpath(path),
      open: async (path, { deletes }) => {
        const tree = await openTargetTree(path, { deletes });
        return { tree, abilities: tree.abilities };
      },
    });
    const connector = localConnector(
      (end) => roots.admission({ find: () => ({ path: target, key: undefined }), end }),
      { random: hostRandom, connections: whole.threads, sourceHost: "test", sourceDirectory: source },
    );
    this.synchronization = new Synchronization({
      name: "test",
      source,
      openSource: () => openSourceTree(source),
      targets: [{ to: target, name: "", connector }],
      id: hostRandom.bytes(16),
      clock: hostClock,
      random: hostRandom,
      report: (sentence) => this.reports.push(sentence),
      settings: whole,
    });
    this.synchronization.start();
  }

  /** Rejects with all it has to say of itself when it takes longer. */
  async settled(timeoutMs = 60_000): Promise<void> {
    const { synchronization } = this;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`not settled within ${timeoutMs} ms: ${this.described}`)),
        timeoutMs,
      );
    });
    try {
      await Promise.race([synchronization.settled(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  get described(): string {
    const { targets, ...figures } = this.synchronization.figures();
    const shown = targets.map(({ lastFailures, ...target }) => ({
      ...target,
      lastFailures: lastFailures.slice(-3),
    }));
    return JSON.stringify({ ...figures, targets: shown, reports: this.reports });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.synchronization.stop();
  }
}
