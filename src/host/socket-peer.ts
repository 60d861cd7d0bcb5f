/** Who is at the other end of a socket. Always holds: of an address that is not known nothing is claimed. */
import { isIP, type Socket } from "node:net";
import type { Peer, StreamAddress } from "../ports/mod.ts";

/** The peer of a socket that is yet to be made, or to connect: its address is known once it was seen. */
export class LatePeer implements Peer {
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

/** The peer of a socket that came to `address`, or was dialed there. */
export function peerOf(address: StreamAddress, socket: Socket): Peer {
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
