/**
 * The addresses under which the daemon serves what tokens are made of, as URIs in which the name is left open (T13).
 *
 * Always holds: only what the settings know is told: not a port that is picked when the daemon starts, nor an address
 * that stands for all of a machine's; the socket of the data directory always, where its path is short enough.
 */
import { join, resolve } from "node:path";
import { ISCSI_NAME_PREFIX } from "../iscsi-targets.ts";
import { type Address, formatAddress } from "./address.ts";
import type { Settings } from "./settings.ts";

const NBD_SOCKET = "nbd.sock";
/** A longer path is written otherwise (the daemon's data directory). */
const SOCKET_PATH_BYTES_MAX = 107;
const ANY_HOST = /^(?:0\.0\.0\.0|\[?[0:]+\]?)$/;

/** `{source}`: VOLUME or VOLUME@SNAPSHOT; `{volume}`: a volume only; `{snapshot}`: with its volume, a snapshot only. */
export function serviceRoutes({
  data,
  nbd,
  iscsi,
  http,
}: Pick<Settings, "data" | "nbd" | "iscsi" | "http">): string[] {
  const api = isKnown(http.address)
    ? [`${http.tls ? "https" : "http"}://${formatAddress(http.address)}/api/v1/volumes/{volume}`]
    : [];
  const socket = join(resolve(data), NBD_SOCKET);
  const local = Buffer.byteLength(socket) <= SOCKET_PATH_BYTES_MAX;
  const scheme = nbd.tls?.isRequired ? "nbds" : "nbd";
  return [
    ...api,
    ...api.map((volume) => `${volume}/snapshots/{snapshot}`),
    ...nbd.addresses.filter(isKnown).map((address) => `${scheme}://${formatAddress(address)}/{source}`),
    ...(local
      ? [`nbd+unix:///{source}?socket=${encodeURI(socket).replace(/[?#&]/g, encodeURIComponent)}`]
      : []),
    ...iscsi.portals
      .filter(isKnown)
      .map((portal) => `iscsi://${formatAddress(portal)}/${ISCSI_NAME_PREFIX}{volume}/0`),
  ];
}

function isKnown({ host, port }: Address): boolean {
  return port !== 0 && !ANY_HOST.test(host);
}
