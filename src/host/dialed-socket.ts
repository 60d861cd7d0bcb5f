/**
 * Dials TCP addresses and Unix sockets, with TLS by a shared key where there is one.
 *
 * Always holds: the receiver hears `opened` of a stream that is ready, or only `closed` with what went wrong, neither
 * before `dial` has returned. May fail: as `Network.connect` says.
 */
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { RopewalkError } from "../base/errors.ts";
import type { ConnectOptions, StreamAddress, StreamReceiver } from "../ports/mod.ts";
import type { BusyPoll } from "./busy-poll.ts";
import { hostClock } from "./clock.ts";
import { checkSecret, dialerSettings, handshakeFailure } from "./pair-secret.ts";
import { LatePeer } from "./socket-peer.ts";
import { SocketStream } from "./socket-stream.ts";

/** What the kernel and the resolver say, as clauses. */
const REASONS: Record<string, string> = {
  ECONNREFUSED: "nobody listens there",
  ENOENT: "there is no such socket",
  ENOTFOUND: "the name is not known",
  EAI_AGAIN: "the name cannot be looked up now",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the network",
  ETIMEDOUT: "the host does not answer",
  ECONNRESET: "the connection was closed at once",
  EACCES: "the operating system does not let this user do it",
};

export function dial(
  address: StreamAddress,
  receiver: StreamReceiver,
  { timeoutMs, secret }: ConnectOptions,
  poll: BusyPoll,
): void {
  const place = address.kind === "tcp" ? `${address.host}:${address.port}` : address.path;
  const peer = new LatePeer(address);
  const stream = new SocketStream(peer, receiver, poll);
  const target = address.kind === "tcp" ? { host: address.host, port: address.port } : { path: address.path };
  let socket: Socket;
  try {
    if (secret === undefined) {
      socket = connect({ ...target, allowHalfOpen: true, onread: stream.reading() });
    } else {
      checkSecret(secret);
      const settings = { ...target, allowHalfOpen: true, ...dialerSettings(secret) };
      socket = connectTls(settings as ConnectionOptions);
    }
  } catch (cause) {
    const error =
      cause instanceof RopewalkError
        ? cause
        : new RopewalkError("INVALID_ARGUMENT", `cannot connect to ${place}: ${(cause as Error).message}`, {
            cause,
          });
    setImmediate(() => receiver.closed(error));
    return;
  }
  let isConnected = false;
  let failure: Error | undefined;
  const timer = hostClock.after(timeoutMs, () => {
    const what = isConnected ? "the TLS handshake did not end" : "there was no answer";
    socket.destroy(new RopewalkError("TIMEOUT", `cannot connect to ${place}: ${what} in ${timeoutMs} ms`));
  });
  const failed = (error: Error) => (failure ??= error);
  const gone = () => {
    timer.cancel();
    receiver.closed(
      isConnected
        ? handshakeFailure(failure, { identity: secret?.identity, peer: place })
        : connectFailure(failure, place),
    );
  };
  socket.on("error", failed);
  socket.on("close", gone);
  socket.once("connect", () => (isConnected = true));
  socket.once(secret === undefined ? "connect" : "secureConnect", () => {
    timer.cancel();
    socket.off("error", failed);
    socket.off("close", gone);
    peer.learn(socket);
    stream.attach(socket, secret === undefined ? "direct" : "copied");
  });
}

function connectFailure(cause: Error | undefined, place: string): RopewalkError {
  if (cause instanceof RopewalkError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const reason = REASONS[code] ?? cause?.message ?? "the connection was closed";
  return new RopewalkError("UNREACHABLE", `cannot connect to ${place}: ${reason}`, { cause });
}
