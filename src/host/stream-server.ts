/**
 * The Network port on Node's sockets: listens on TCP addresses and Unix sockets.
 *
 * Always holds: a Unix socket file that nobody serves is replaced, one that somebody serves is left alone.
 * May fail: ADDRESS_IN_USE. A connection that fails while being accepted is dropped; listening goes on.
 */
import { lstat, unlink } from "node:fs/promises";
import { connect, createServer, isIP, type ListenOptions, type Server, type Socket } from "node:net";
import { availableParallelism } from "node:os";
import { RopewalkError } from "../base/errors.ts";
import type {
  Listener,
  Network,
  Peer,
  StreamAcceptor,
  StreamAddress,
  TlsFiles,
  TlsIdentity,
} from "../ports/mod.ts";
import { acceptInto } from "./accepted-socket.ts";
import { BusyPoll } from "./busy-poll.ts";
import { SocketStream } from "./socket-stream.ts";
import { makeTlsIdentity } from "./tls-identity.ts";

/** Connections that may wait in the kernel before they are accepted. */
const BACKLOG = 1024;
/** How long the loop looks for the next request before it sleeps (docs/decisions/busy-poll.md). */
const POLL_US = 50;

export class SocketNetwork implements Network {
  readonly #poll: BusyPoll;

  /** `pollUs`: microseconds; 0 leaves all waiting to the kernel, the default where there is only one processor. */
  constructor({ pollUs, onTurn }: { pollUs?: number | undefined; onTurn?: (lengthMs: number) => void } = {}) {
    this.#poll = new BusyPoll(pollUs ?? (availableParallelism() > 1 ? POLL_US : 0), onTurn);
  }

  tlsIdentity(files: TlsFiles): TlsIdentity {
    return makeTlsIdentity(files);
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

class LatePeer implements Peer {
  readonly kind: "tcp" | "unix";
  readonly #address: StreamAddress;
  #known: Peer | undefined;

  constructor(address: StreamAddress) {
    this.kind = address.kind;
    this.#address = address;
  }

  learn(socket: Socket): void {
    this.#known = peerOf(this.#address, socket);
  }

  get loopback(): boolean {
    return this.#known?.loopback ?? this.kind === "unix";
  }

  get description(): string {
    return this.#known?.description ?? this.kind;
  }

  get localAddress(): string | undefined {
    return this.#known?.localAddress;
  }
}

function peerOf(address: StreamAddress, socket: Socket): Peer {
  if (address.kind === "unix") return { kind: "unix", loopback: true, description: "unix" };
  const host = socket.remoteAddress ?? "";
  const description = `${host}:${socket.remotePort ?? 0}`;
  return { kind: "tcp", loopback: isLoopback(host), description, localAddress: socket.localAddress };
}

/** Whether a numeric address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().startsWith("::ffff:") ? host.slice(7) : host;
  if (isIP(plain) === 4) return plain.startsWith("127.");
  return plain === "::1" || plain === "localhost";
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
