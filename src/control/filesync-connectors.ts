/**
 * The ways to targets: a directory of this machine, a daemon's peer port, a program at the other end of ssh.
 * Always holds: what leaves this machine to a daemon is TLS by the key of the pair.
 */
import { type Connector, localConnector, streamConnector, type TargetRoots } from "../filesync/mod.ts";
import type { Network, Random, StreamReceiver } from "../ports/mod.ts";
import type { FilesyncDestination } from "./filesync-destination.ts";
import { isLoopbackHost } from "./settings/address.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** What a receiver without names is told; it serves one root to whoever may run it. */
const NO_NAME = "root";

export interface SshProgram {
  readonly user?: string | undefined;
  readonly host: string;
  readonly port?: number | undefined;
  /** The program and its arguments. */
  readonly command: readonly string[];
}

export interface FilesyncWays {
  /** The roots of this machine, which all ways to it share. */
  readonly roots: TargetRoots;
  readonly network: Pick<Network, "connect">;
  readonly openSshStream: (program: SshProgram, receiver: StreamReceiver) => void;
  readonly random: Random;
  /** What this machine is called, for people at the target. */
  readonly hostName: string;
}

export interface WayToTarget {
  readonly destination: FilesyncDestination;
  readonly key: Uint8Array | undefined;
  readonly threads: number;
  readonly source: string;
}

export function makeConnector(ways: FilesyncWays, way: WayToTarget): Connector {
  const { destination, key, threads, source } = way;
  const { roots, network, openSshStream, random, hostName } = ways;
  const parts = { random, connections: threads, sourceHost: hostName, sourceDirectory: source };
  switch (destination.kind) {
    case "local": {
      const find = () => ({ path: destination.path, key: undefined });
      return localConnector((end) => roots.admission({ find, end }), parts);
    }
    case "ropewalk": {
      const { to, address, name } = destination;
      const secret =
        key === undefined || isLoopbackHost(address.host) ? {} : { secret: { identity: name, key } };
      const dial = (receiver: StreamReceiver) =>
        network.connect({ kind: "tcp", ...address }, receiver, { timeoutMs: CONNECT_TIMEOUT_MS, ...secret });
      return streamConnector({ to, key, dial }, parts);
    }
    case "ssh": {
      const { to, user, host, port, path } = destination;
      const command = ["ropewalk", "filesync", "receive", "--", path];
      const dial = (receiver: StreamReceiver) => openSshStream({ user, host, port, command }, receiver);
      return streamConnector({ to, key: undefined, dial }, parts);
    }
  }
}

/** The target's name as its HELLO says it. */
export function nameAtTarget(destination: FilesyncDestination): string {
  if (destination.kind === "ropewalk") return destination.name;
  return destination.kind === "ssh" ? NO_NAME : "";
}
