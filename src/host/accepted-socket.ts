/**
 * Makes accepted connections into sockets that read straight into memory of the receiver's.
 *
 * Node gives this (`onread`) only to sockets that connect out, and reads at most 64 KiB at a time on accepted
 * ones (measured 520 against 800 MiB/s). So the server's handle, which is not documented, is asked for raw
 * connections. Always holds: where a Node has no such handle, `acceptInto` says so and ordinary sockets serve.
 */
import { type OnReadOpts, type Server, Socket, type SocketConstructorOpts } from "node:net";

interface ServerHandle {
  onconnection?: (status: number, connection?: ConnectionHandle) => void;
}

interface ConnectionHandle {
  readStop?: () => number;
  useUserBuffer?: (buffer: Uint8Array) => void;
  close: () => void;
}

/** A raw connection came: `make` turns it into a socket, `refuse` closes it. */
export type SocketMaker = (make: (reading: OnReadOpts) => Socket, refuse: () => void) => void;

/**
 * From now on the listening `server` hands its connections to `accept`, and not to its own event.
 * False, with nothing changed, when this Node's server has no handle of the known shape.
 */
export function acceptInto(server: Server, accept: SocketMaker, fail: (status: number) => void): boolean {
  const handle = (server as unknown as { _handle?: ServerHandle })._handle;
  if (typeof handle?.onconnection !== "function") return false;
  const ordinary = handle.onconnection;
  handle.onconnection = function (status, connection) {
    if (status !== 0 || connection === undefined) return fail(status);
    if (typeof connection.useUserBuffer !== "function") return ordinary.call(this, status, connection);
    const refuse = () => connection.close();
    accept((onread) => {
      const options = { handle: connection, onread, allowHalfOpen: true };
      return new Socket(options as unknown as SocketConstructorOpts);
    }, refuse);
  };
  return true;
}
