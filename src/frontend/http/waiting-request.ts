/** What a request that is answered late needs: a connection that may be silent, and word when the client has left. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { RopewalkError } from "../../base/errors.ts";

/** Nothing is sent until the work is finished, which is no reason to close the connection. */
export function expectSilence({ raw: { socket } }: FastifyRequest, reply: FastifyReply): void {
  const timeoutMs = socket.timeout ?? 0;
  socket.setTimeout(0);
  reply.raw.once("close", () => void socket.setTimeout(timeoutMs));
}

/** Aborts with CANCELLED when the connection closes before the answer is sent. */
export function signalOfClient(reply: FastifyReply): AbortSignal {
  const abort = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) abort.abort(new RopewalkError("CANCELLED", "The client went away."));
  });
  return abort.signal;
}
