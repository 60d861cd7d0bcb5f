/** Addresses to listen on, as people write them: `127.0.0.1:7430`, `[::1]:7430`, `localhost:0`. */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";

export interface Address {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

const PORT_MAX = 65_535;
const TEXT = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/;

/** INVALID_CONFIG */
export function parseAddress(text: string): Address {
  const match = TEXT.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= PORT_MAX) return { host: (match[1] ?? match[2])!, port };
  throw new RopewalkError(
    "INVALID_CONFIG",
    `${quoted(text)} is no address; write it as 127.0.0.1:7430 or [::1]:7430, with a port from 0 to 65535.`,
  );
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can connect to it. A host name other than localhost may mean anything. */
export function isLoopbackHost(host: string): boolean {
  const plain = host.toLowerCase();
  return plain === "localhost" || plain === "::1" || /^127(?:\.\d{1,3}){3}$/.test(plain);
}
