/**
 * The Network port on Node's sockets: listens on TCP addresses and Unix sockets, and dials them.
 *
 * Always holds: a Unix socket file that nobody serves is replaced, one that somebody serves is left alone.
 * May fail: ADDRESS_IN_USE. A connection that fails while being accepted is dropped; listening goes on.
 */
import { lstat, unlink } from "node:fs/promises";
import { connect, createServer, type ListenOptions, type Server } from "node:net";
import { availableParallelism } from "node:os";
import { RopewalkError } from "../base/errors.ts";
import type {
  ConnectOptions,
  Listener,
  Network,
  StreamAcceptor,
  StreamAddress,
  StreamReceiver,
  TlsFiles,
  TlsIdentity,
} from "../ports/mod.ts";
import { acceptInto } from "./accepted-socket.ts";
import { BusyPoll } from "./busy-poll.ts";
import { dial } from "./dialed-socket.ts";
import { makePskIdentity } from "./pair-secret.ts";
import { LatePeer, peerOf } from "./socket-peer.ts";
import { SocketStream } from "./socket-stream.ts";
import { makeTlsIdentity } from "./tls-identity.ts";

/** Connections that may wait in the kernel before they are accepted. */
const BACKLOG = 1024;
/** How long the loop looks for the next request before it sleeps (docs/decisions/busy-poll.md). */
const POLL_US = 50;

/** How long a handshake with a shared key may take. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface SocketNetworkOptions {
  /** Microseconds; 0 leaves all waiting to the kernel, the default where there is only one processor. */
  readonly pollUs?: number | undefined;
  /** Told how long each turn of the loop took while it polls. */
  readonly onTurn?: (lengthMs: number) => void;
  /** Of TLS with a shared key, at the accepting end; default 10,000. */
  readonly handshakeTimeoutMs?: number;
}

export class SocketNetwork implements Network {
  readonly #poll: BusyPoll;
  readonly #handshakeTimeoutMs: number;

  constructor({ pollUs, onTurn, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS }: SocketNetworkOptions = {}) {
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
    this.#poll = new BusyPoll(pollUs ?? (availableParallelism() > 1 ? POLL_US : 0), onTurn);
  }

  tlsIdentity(files: TlsFiles): TlsIdentity {
    return makeTlsIdentity(files);
  }

  pskIdentity(keyOf: (identity: string) => Uint8Array | undefined): TlsIdentity {
    return makePskIdentity(keyOf, this.#handshakeTimeoutMs);
  }

  connect(address: StreamAddress, receiver: StreamReceiver, options: ConnectOptions): void {
    dial(address, receiver, options, this.#poll);
  }

  async listen(address: StreamAddress, accept: StreamAcceptor): Promise<Listener> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    try {
      await listening(server, address);
    } catch (error) {
      if (!(await isDeadSocketFile(address, error))) throw addressError(address, error);
      await listening(server, address).catch((again) => {
        throw addressError(address, again);
      });
    }
    serve(server, accept, address, this.#poll);
    return { address: boundAddress(server, address), close: () => closed(server) };
  }
}

function serve(server: Server, accept: StreamAcceptor, address: StreamAddress, poll: BusyPoll): void {
  // Errors while accepting (no file descriptor left, a peer that is gone already) concern that one connection.
  server.on("error", () => {});
  server.on("connection", (socket) => {
    const peer = peerOf(address, socket);
    const receiver = accept(peer);
    if (receiver === undefined) socket.destroy();
    else new SocketStream(peer, receiver, poll).attach(socket, "copied");
  });
  acceptInto(
    server,
    (make, refuse) => {
      // The peer's address is known only once the socket exists, and the socket needs its receiver at once.
      const late = new LatePeer(address);
      const receiver = accept(late);
      if (receiver === undefined) return refuse();
      const stream = new SocketStream(late, receiver, poll);
      const socket = make(stream.reading());
      late.learn(socket);
      stream.attach(socket, "direct");
    },
    () => {},
  );
}

function listening(server: Server, address: StreamAddress): Promise<void> {
  const options: ListenOptions =
    address.kind === "tcp"
      ? { host: address.host, port: address.port, backlog: BACKLOG }
      : { path: address.path, backlog: BACKLOG };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

/** Whether listening failed for a socket file that a dead process left; then the file is removed. */
async function isDeadSocketFile(address: StreamAddress, error: unknown): Promise<boolean> {
  if (address.kind !== "unix" || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") return false;
  // A file of another kind refuses connections too, and is somebody's.
  if (!(await lstat(address.path)).isSocket()) return false;
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(address.path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (reason: NodeJS.ErrnoException) => resolve(reason.code === "ECONNREFUSED"));
  });
  if (refused) await unlink(address.path);
  return refused;
}

function addressError(address: StreamAddress, cause: unknown): RopewalkError {
  const place = address.kind === "tcp" ? `${address.host}:${address.port}` : address.path;
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
  const reason = code === "EADDRINUSE" ? "somebody else listens there" : code;
  return new RopewalkError("ADDRESS_IN_USE", `cannot listen on ${place}: ${reason}`, { cause });
}

function boundAddress(server: Server, address: StreamAddress): StreamAddress {
  const bound = server.address();
  if (address.kind === "unix" || bound === null || typeof bound === "string") return address;
  return { kind: "tcp", host: address.host, port: bound.port };
}

/** Resolves when nothing is accepted any more; streams that exist do not hold it up. */
function closed(server: Server): Promise<void> {
  server.close();
  return Promise.resolve();
}
