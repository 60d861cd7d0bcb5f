// Synchronizations that replicate nothing, for tests of what is around them: they do what the test says.

import type { RunningSynchronization } from "../../src/control/mod.ts";
import { Filesyncs, FilesyncTargets } from "../../src/control/mod.ts";
import type {
  SynchronizationFigures,
  SynchronizationParts,
  SyncResult,
  VerifyResult,
} from "../../src/filesync/mod.ts";
import { filesyncMachine, hostClock, hostRandom, TextFolder } from "../../src/host/mod.ts";
import { TemporaryFolder } from "./temporary-folder.ts";

export class FakeSynchronization implements RunningSynchronization {
  readonly parts: SynchronizationParts;
  readonly calls: string[] = [];
  settling = Promise.withResolvers<void>();
  syncing = Promise.withResolvers<SyncResult>();
  verifying = Promise.withResolvers<VerifyResult>();
  state: SynchronizationFigures["state"] = "live";
  bulk: SynchronizationFigures["targets"][number]["bulk"];

  constructor(parts: SynchronizationParts) {
    this.parts = parts;
  }

  start(): void {
    this.calls.push("start");
  }

  sync(options: object): Promise<SyncResult> {
    this.calls.push(`sync ${JSON.stringify(options)}`);
    return this.syncing.promise;
  }

  cancelSync(): void {
    this.calls.push("cancelSync");
  }

  settled(): Promise<void> {
    this.calls.push("settled");
    return this.settling.promise;
  }

  verify(): Promise<VerifyResult> {
    this.calls.push("verify");
    return this.verifying.promise;
  }

  pause(): void {
    this.calls.push("pause");
    this.state = "paused";
  }

  resume(): void {
    this.calls.push("resume");
    this.state = "live";
  }

  async stop(): Promise<void> {
    this.calls.push("stop");
    await this.parts.journal?.close();
  }

  figures(): SynchronizationFigures {
    return {
      state: this.state,
      order: "per-file",
      events: 7,
      overflows: 1,
      rescans: 2,
      watches: 3,
      targets: this.parts.targets.map(({ to }) => ({
        to,
        state: "live",
        connections: 4,
        lag: { seconds: 1.5, entries: 5, bytes: 4096 },
        bulk: this.bulk,
        sentBytes: 1000,
        copiedFiles: 11,
        removed: 1,
        tornReads: 0,
        failures: 1,
        lastFailures: [{ path: "p", errno: "EACCES", doing: "open" }],
      })),
    };
  }
}

export interface FilesyncTestWorld extends Disposable {
  readonly folder: TemporaryFolder;
  readonly filesyncs: Filesyncs;
  readonly targets: FilesyncTargets;
  /** All that were started, by name; the last of each. */
  readonly started: Map<string, FakeSynchronization>;
  readonly reports: string[];
  /** What a start of the daemon on the same data makes. */
  again(): FilesyncTestWorld;
}

/** Data, and a directory `source`, in `folder`. */
export function filesyncWorld(folder = new TemporaryFolder()): FilesyncTestWorld {
  const started = new Map<string, FakeSynchronization>();
  const reports: string[] = [];
  const dataDirectory = folder.file("data");
  const machine = filesyncMachine({ journalFile: (name) => `${dataDirectory}/filesync/${name}.journal` });
  const filesyncs = new Filesyncs({
    definitions: new TextFolder(`${dataDirectory}/filesync`),
    machine,
    clock: hostClock,
    random: hostRandom,
    dataDirectory,
    makeSynchronization(parts) {
      const synchronization = new FakeSynchronization(parts);
      started.set(parts.name, synchronization);
      return synchronization;
    },
    connector: () => ({ connect: () => Promise.reject(new Error("nobody connects here")) }),
    receivingRoots: () => targets.roots(),
    report: (name, sentence) => reports.push(`${name}: ${sentence}`),
  });
  const targets = new FilesyncTargets({
    definitions: new TextFolder(`${dataDirectory}/filesync-targets`),
    machine,
    clock: hostClock,
    random: hostRandom,
    dataDirectory,
    besideSynchronizations: (work) => filesyncs.inTurn(async () => work(await filesyncs.writtenRoots())),
    closeRoot: async () => {},
  });
  return {
    folder,
    filesyncs,
    targets,
    started,
    reports,
    again: () => filesyncWorld(folder),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}
