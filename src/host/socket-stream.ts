/**
 * One accepted socket as a ByteStream.
 *
 * Always holds: the receiver hears nothing after `closed`, which comes exactly once; bytes are delivered from
 * the receiver's own memory, filled by the kernel where Node allows it (`accepted-socket.ts`), else copied.
 */
import type { OnReadOpts, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { ByteStream, Peer, StreamReceiver, TlsIdentity } from "../ports/mod.ts";
import type { BusyPoll } from "./busy-poll.ts";
import { partsBehind, writeDirectly } from "./direct-write.ts";
import { clientRefusal, tlsSettings } from "./tls-identity.ts";

/** Node asks once more after the last byte. */
const NOWHERE = Buffer.alloc(1);

export class SocketStream implements ByteStream {
  readonly peer: Peer;
  readonly #receiver: StreamReceiver;
  readonly #poll: BusyPoll;
  #socket!: Socket;
  #paused = false;
  #queued = false;
  /** What is written goes to the kernel as it is. */
  #plain = true;
  #closed = false;
  #error: Error | undefined;
  /** Arrived, but not yet copied to the receiver. */
  #pending: Uint8Array[] = [];

  constructor(peer: Peer, receiver: StreamReceiver, poll: BusyPoll) {
    this.peer = peer;
    this.#receiver = receiver;
    this.#poll = poll;
  }

  /** How a socket made for this stream reads. */
  reading(): OnReadOpts {
    return {
      buffer: () => (this.#closed ? NOWHERE : this.#receiver.target()),
      callback: (length) => {
        if (!this.#closed) this.#receiver.received(length);
        this.#poll.arrived();
        return !this.#paused;
      },
    };
  }

  /** Takes the socket; `copied` when it was not made with `reading()`. */
  attach(socket: Socket, delivery: "direct" | "copied"): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    if (this.peer.kind === "tcp") socket.setKeepAlive(true, 60_000);
    this.#listen(socket);
    if (delivery === "copied") socket.on("data", (bytes: Buffer) => this.#copy(bytes));
    this.#receiver.opened(this);
  }

  write(parts: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (this.#closed || socket.destroyed) return true;
    if (this.#plain) {
      try {
        const takenBytes = writeDirectly(socket, parts);
        if (takenBytes > 0) parts = partsBehind(parts, takenBytes);
      } catch (error) {
        socket.destroy(error as Error);
        return true;
      }
      if (parts.length === 0) return true;
    }
    const last = parts.length - 1;
    if (last > 0) socket.cork();
    for (let index = 0; index < last; index++) socket.write(parts[index]!);
    socket.write(parts[last]!, this.#taken);
    if (last > 0) socket.uncork();
    // Empty at once means that the kernel took all of it, although Node calls back only later.
    this.#queued = socket.writableLength > 0;
    return !this.#queued;
  }

  /** Called for every batch, also for those that the kernel took at once. */
  readonly #taken = (): void => {
    if (!this.#queued || this.#closed || this.#socket.writableLength > 0) return;
    this.#queued = false;
    this.#receiver.drained();
  };

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#pending.length > 0) setImmediate(() => this.#deliverPending());
    else this.#socket.resume();
  }

  startTls(identity: TlsIdentity): void {
    const plain = this.#socket;
    this.#plain = false;
    plain.removeAllListeners();
    this.#pending = [];
    const secure = new TLSSocket(plain, { isServer: true, ...tlsSettings(identity) });
    plain.on("error", (error) => secure.destroy(error));
    plain.on("close", () => secure.destroy());
    this.#socket = secure;
    this.#paused = false;
    this.#listen(secure);
    secure.on("secure", () => {
      const refusal = clientRefusal(identity, secure);
      if (refusal !== undefined) {
        secure.destroy(new Error(refusal));
        return;
      }
      if (!this.#closed) this.#receiver.secured();
    });
    secure.on("data", (bytes: Buffer) => this.#copy(bytes));
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #listen(socket: Socket): void {
    socket.on("error", (error) => (this.#error ??= error));
    socket.on("end", () => {
      if (!this.#closed) this.#receiver.ended();
    });
    socket.on("close", () => {
      if (this.#closed || socket !== this.#socket) return;
      this.#closed = true;
      this.#pending = [];
      this.#receiver.closed(this.#error);
    });
  }

  #copy(bytes: Buffer): void {
    this.#poll.arrived();
    this.#pending.push(bytes);
    if (this.#pending.length === 1) this.#deliverPending();
  }

  /** Copies what arrived into the receiver's memory until it pauses. */
  #deliverPending(): void {
    while (this.#pending.length > 0 && !this.#paused && !this.#closed) {
      const bytes = this.#pending[0]!;
      const target = this.#receiver.target();
      const length = Math.min(target.length, bytes.length);
      target.set(bytes.subarray(0, length));
      if (length === bytes.length) this.#pending.shift();
      else this.#pending[0] = bytes.subarray(length);
      this.#receiver.received(length);
    }
    if (this.#pending.length === 0 && !this.#paused && !this.#closed) this.#socket.resume();
  }
}
