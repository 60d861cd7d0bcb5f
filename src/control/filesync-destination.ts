/**
 * Where a synchronization goes, as people write it: `/srv/copy`, `ropewalk://HOST:PORT/NAME`, `ssh://USER@HOST/PATH`.
 * Always holds: what was parsed holds nothing that a command line or a shell at the other end could take for an option.
 * Errors: INVALID_ARGUMENT, INVALID_NAME.
 */
import { isAbsolute, normalize } from "node:path/posix";
import { RopewalkError } from "../base/errors.ts";
import { checkName, quoted } from "../base/object-name.ts";
import { type Address, formatAddress, parseAddress } from "./settings/address.ts";

export type FilesyncDestination =
  | { readonly kind: "local"; readonly to: string; readonly path: string }
  | { readonly kind: "ropewalk"; readonly to: string; readonly address: Address; readonly name: string }
  | {
      readonly kind: "ssh";
      readonly to: string;
      readonly user: string | undefined;
      readonly host: string;
      readonly port: number | undefined;
      readonly path: string;
    };

export const PEER_PORT_DEFAULT = 7431;
export const PATH_CHARACTERS_MAX = 4096;

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is;
const ROPEWALK = /^([^/@]+)\/([^/]+)\/?$/;
const SSH =
  /^(?:([A-Za-z0-9_][A-Za-z0-9._-]{0,63})@)?(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9][A-Za-z0-9._-]{0,252}))(?::(\d{1,5}))?(\/.*)$/s;
const PORT_MAX = 65_535;

/** `to` of the result is the one way to write it. */
export function parseDestination(text: string): FilesyncDestination {
  const [, scheme, rest] = SCHEME.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return { kind: "local", ...localPath(text) };
  switch (scheme.toLowerCase()) {
    case "ropewalk":
      return ropewalkDestination(text, rest);
    case "ssh":
      return sshDestination(text, rest);
    default:
      throw refusal(
        text,
        "a synchronization goes to a path, to ropewalk://HOST:PORT/NAME or to ssh://USER@HOST/PATH",
      );
  }
}

/** An absolute path without `.`, `..` and slashes that mean nothing. INVALID_ARGUMENT */
export function absolutePath(what: string, text: string): string {
  const isLegal = isAbsolute(text) && text.length <= PATH_CHARACTERS_MAX && !text.includes("\0");
  if (!isLegal)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `The ${what} ${quoted(text)} is no absolute path; give all of it.`,
    );
  const path = normalize(text);
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

function localPath(text: string): { to: string; path: string } {
  const path = absolutePath("target", text);
  return { to: path, path };
}

function ropewalkDestination(text: string, rest: string): FilesyncDestination {
  const [, place, name] = ROPEWALK.exec(rest) ?? [];
  if (place === undefined || name === undefined) throw refusal(text, "write it as ropewalk://HOST:PORT/NAME");
  const hasPort = /:\d+$/.test(place) && !/^\[[^\]]*$/.test(place);
  let address: Address;
  try {
    address = parseAddress(hasPort ? place : `${place}:${PEER_PORT_DEFAULT}`);
  } catch (cause) {
    throw refusal(text, "write it as ropewalk://HOST:PORT/NAME, an IPv6 address in [ ]", cause);
  }
  if (address.port === 0) throw refusal(text, "nobody can be reached at port 0");
  checkName("target", name);
  return { kind: "ropewalk", to: `ropewalk://${formatAddress(address)}/${name}`, address, name };
}

function sshDestination(text: string, rest: string): FilesyncDestination {
  const [, user, bracketed, plain, portText, encoded] = SSH.exec(rest) ?? [];
  const host = bracketed ?? plain;
  const port = portText === undefined ? undefined : Number(portText);
  if (host === undefined || encoded === undefined || port === 0 || (port ?? 0) > PORT_MAX)
    throw refusal(text, "write it as ssh://USER@HOST/PATH or ssh://USER@HOST:PORT/PATH");
  let path: string;
  try {
    path = absolutePath("target", decodeURIComponent(encoded));
  } catch (cause) {
    if (cause instanceof RopewalkError) throw cause;
    throw refusal(text, "write a % in its path as %25", cause);
  }
  const place = `${user === undefined ? "" : `${user}@`}${bracketed === undefined ? host : `[${host}]`}`;
  const to = `ssh://${place}${port === undefined ? "" : `:${port}`}${encodePath(path)}`;
  return { kind: "ssh", to, user, host, port, path };
}

function encodePath(path: string): string {
  return encodeURI(path).replace(/[?#]/g, encodeURIComponent);
}

function refusal(text: string, reason: string, cause?: unknown): RopewalkError {
  return new RopewalkError("INVALID_ARGUMENT", `${quoted(text)} cannot be a target: ${reason}.`, { cause });
}
