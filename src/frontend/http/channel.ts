/** Whether somebody between could read what passes: TLS and loopback count as protected (T14). */
import type { FastifyRequest } from "fastify";
import { type Channel, isLoopbackHost } from "../../control/mod.ts";

const MAPPED_V4 = /^::ffff:/i;

export function channelOf({ raw: { socket } }: FastifyRequest): Channel {
  const isEncrypted = (socket as { encrypted?: boolean }).encrypted === true;
  return { isProtected: isEncrypted || isLoopbackHost((socket.remoteAddress ?? "").replace(MAPPED_V4, "")) };
}
