/**
 * File replication of one daemon: its synchronizations, the roots that others' synchronizations write to, and the
 * connections that come for them. Always holds: all ways to a root of this machine share one table of who writes to it.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import { Synchronization, TargetRoots } from "../filesync/mod.ts";
import type { Clock, Network, Peer, Random, StreamReceiver, TlsIdentity } from "../ports/mod.ts";
import { type FilesyncWays, makeConnector } from "./filesync-connectors.ts";
import { FilesyncReceiver } from "./filesync-receiver.ts";
import type { LookAt } from "./filesync-roots.ts";
import { FilesyncTargets } from "./filesync-targets.ts";
import type { FilesyncMachine } from "./filesync-world.ts";
import { Filesyncs } from "./filesyncs.ts";
import { securedReceiver } from "./secured-receiver.ts";
import type { KeptTexts } from "./stacked-volumes.ts";

/** Opens what another process may not have open. */
type OpenTarget = ConstructorParameters<typeof TargetRoots>[0]["open"];

export interface FilesyncServiceParts {
  readonly definitions: KeptTexts;
  readonly targetDefinitions: KeptTexts;
  readonly machine: FilesyncMachine & { readonly openTarget: OpenTarget };
  readonly network: Pick<Network, "connect" | "pskIdentity">;
  readonly openSshStream: FilesyncWays["openSshStream"];
  readonly clock: Clock;
  readonly random: Random;
  readonly hostName: string;
  readonly dataDirectory: string;
  /** Connections of others at once. */
  readonly connectionsMax: number | undefined;
  /** For the log: of the synchronization `name`, or of a connection. */
  readonly report: (sentence: string, name?: string) => void;
}

export class FilesyncService {
  readonly filesyncs: Filesyncs;
  readonly targets: FilesyncTargets;
  readonly #receiver: FilesyncReceiver;
  readonly #identity: TlsIdentity;

  constructor(parts: FilesyncServiceParts) {
    const { machine, network, clock, random, dataDirectory, report } = parts;
    const roots = targetRoots({ ...machine, random });
    this.filesyncs = new Filesyncs({
      definitions: parts.definitions,
      machine,
      clock,
      random,
      dataDirectory,
      makeSynchronization: (wish) => new Synchronization(wish),
      connector: (way) => makeConnector({ ...parts, roots }, way),
      receivingRoots: () => this.targets.roots(),
      report: (name, sentence) => report(sentence, name),
    });
    this.targets = new FilesyncTargets({
      definitions: parts.targetDefinitions,
      machine,
      clock,
      random,
      dataDirectory,
      besideSynchronizations: (work) =>
        this.filesyncs.inTurn(async () => work(await this.filesyncs.writtenRoots())),
      closeRoot: (name) => this.#receiver.endOf(name),
    });
    this.#receiver = new FilesyncReceiver({
      roots,
      find: (name) => this.targets.find(name),
      clock,
      connectionsMax: parts.connectionsMax,
      report,
    });
    this.#identity = network.pskIdentity((name) => this.targets.find(name)?.key);
  }

  get connections(): number {
    return this.#receiver.connections;
  }

  /** Reads what is kept, and starts the synchronizations. INVALID_CONFIG when a file is damaged */
  async load(): Promise<void> {
    await this.targets.load();
    await this.filesyncs.load();
  }

  /** A stream that came to the peer port: TLS by the key of the pair, unless it never leaves this machine. */
  accept(peer: Peer): StreamReceiver | undefined {
    const receiver = this.#receiver.accept(peer);
    return receiver && securedReceiver(receiver, this.#identity);
  }

  /** Lets nobody write any more; the synchronizations are stopped with the other work. */
  close(): Promise<void> {
    return this.#receiver.close();
  }
}

export interface LoneReceiverParts {
  readonly root: string;
  readonly machine: { readonly lookAt: LookAt; readonly openTarget: OpenTarget };
  readonly clock: Clock;
  readonly random: Random;
}

/** One root for whoever may speak to this process, whatever name it is called by. */
export function receiveAlone({ root, machine, clock, random }: LoneReceiverParts): FilesyncReceiver {
  const find = () => ({ root, key: undefined });
  return new FilesyncReceiver({ roots: targetRoots({ ...machine, random }), find, clock });
}

function targetRoots({
  lookAt,
  openTarget,
  random,
}: {
  lookAt: LookAt;
  openTarget: OpenTarget;
  random: Random;
}): TargetRoots {
  return new TargetRoots({
    open: openTarget,
    random,
    canonical: async (path) => {
      const found = await lookAt(path);
      if (found.kind === "directory") return found.path;
      throw new RopewalkError(
        "NOT_FOUND",
        `The target directory ${quoted(path)} is not there; is its file system mounted?`,
      );
    },
  });
}
