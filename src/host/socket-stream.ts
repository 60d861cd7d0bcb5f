/**
 * One socket, accepted or dialed, as a ByteStream.
 *
 * Always holds: the receiver hears nothing after `closed`, which comes exactly once; bytes are delivered from
 * the receiver's own memory, filled by the kernel where Node allows it (`accepted-socket.ts`), else copied, as under TLS.
 */
import type { OnReadOpts, Socket } from "node:net";
import { TLSSocket, type TLSSocketOptions } from "node:tls";
import { RopewalkError } from "../base/errors.ts";
import type { ByteStream, Peer, StreamReceiver, TlsIdentity } from "../ports/mod.ts";
import type { BusyPoll } from "./busy-poll.ts";
import { hostClock } from "./clock.ts";
import { CopiedDelivery } from "./copied-delivery.ts";
import { partsBehind, writeDirectly } from "./direct-write.ts";
import { clientRefusal, type HandshakeWatch, tlsSettings } from "./tls-identity.ts";

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
  /** Where the kernel does not fill the receiver's memory itself. */
  #copies: CopiedDelivery | undefined;
  /** Why the handshake that is under way would have failed. */
  #explain: ((error: Error | undefined) => Error) | undefined;

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
    this.#plain = !(socket instanceof TLSSocket);
    this.#listen(socket, delivery);
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
    if (this.#copies !== undefined) this.#copies.pause();
    else this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#copies !== undefined) this.#copies.resume();
    else this.#socket.resume();
  }

  startTls(identity: TlsIdentity): void {
    const plain = this.#socket;
    this.#plain = false;
    plain.removeAllListeners();
    this.#copies?.stop();
    const settings = tlsSettings(identity);
    const secure = new TLSSocket(plain, { isServer: true, ...settings } as TLSSocketOptions);
    plain.on("error", (error) => secure.destroy(error));
    plain.on("close", () => secure.destroy());
    this.#socket = secure;
    this.#paused = false;
    if (settings.handshake !== undefined) this.#watchHandshake(secure, settings.handshake);
    secure.on("secure", () => {
      const refusal = clientRefusal(identity, secure);
      if (refusal !== undefined) {
        secure.destroy(new Error(refusal));
        return;
      }
      if (!this.#closed) this.#receiver.secured();
    });
    this.#listen(secure, "copied");
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#copies?.stop();
    const isGone = this.#socket.closed;
    this.#socket.destroy();
    // Its close was kept back until all was delivered, which now never is.
    if (isGone) setImmediate(() => this.#close());
  }

  /** A handshake that does not end in its time, or that the peer breaks off, fails with a clear error. */
  #watchHandshake(secure: TLSSocket, { timeoutMs, explain }: HandshakeWatch): void {
    const timer = hostClock.after(timeoutMs, () =>
      secure.destroy(
        new RopewalkError("TIMEOUT", `the peer did not finish the TLS handshake in ${timeoutMs} ms`),
      ),
    );
    this.#explain = (error) => explain(secure, error);
    secure.on("secure", () => {
      this.#explain = undefined;
      timer.cancel();
    });
    secure.on("close", () => timer.cancel());
  }

  #listen(socket: Socket, delivery: "direct" | "copied"): void {
    socket.on("error", (error) => (this.#error ??= error));
    socket.on("end", () => {
      if (this.#explain !== undefined) this.destroy();
      else if (delivery === "direct" && !this.#closed) this.#receiver.ended();
    });
    socket.on("close", () => {
      if (socket !== this.#socket) return;
      if (this.#explain !== undefined) this.#error = this.#explain(this.#error);
      if (this.#copies === undefined || this.#error !== undefined) this.#close();
      else this.#copies.finish(() => this.#close());
    });
    this.#copies =
      delivery === "direct"
        ? undefined
        : new CopiedDelivery(socket, this.#receiver, () => this.#poll.arrived());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#copies?.stop();
    this.#receiver.closed(this.#error);
  }
}
