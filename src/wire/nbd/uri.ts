/**
 * NBD URIs (NetworkBlockDevice/nbd, doc/uri.md), without TLS: `nbd://HOST[:PORT]/EXPORT`, `nbd+unix:///EXPORT?socket=PATH`.
 * Always holds: nothing of the text is ignored. Errors: INVALID_CONFIG with what is wrong.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { STRING_BYTES_MAX } from "./constants.ts";

const NBD_PORT = 10_809;

export interface NbdUri {
  readonly address:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string };
  readonly exportName: string;
}

/** INVALID_CONFIG */
export function parseNbdUri(text: string): NbdUri {
  const refuse = (reason: string) =>
    new RopewalkError("INVALID_CONFIG", `${quoted(text)} is no NBD URI: ${reason}.`);
  if (!/^nbd(\+unix)?:\/\//.test(text)) throw refuse("it begins with neither nbd:// nor nbd+unix://");
  let url: URL;
  let exportName: string;
  try {
    url = new URL(text);
    exportName = decodeURIComponent(url.pathname.replace(/^\//, ""));
  } catch (cause) {
    throw refuse((cause as Error).message);
  }
  if (url.hash !== "" || url.username !== "" || url.password !== "")
    throw refuse("it has a user or a fragment");
  if (exportName.includes("\0") || Buffer.byteLength(exportName) > STRING_BYTES_MAX)
    throw refuse("an export cannot be called so");
  const queries = [...url.searchParams];
  if (url.protocol === "nbd:") {
    if (queries.length > 0) throw refuse("a TCP address takes no parameters");
    if (url.hostname === "") throw refuse("it names no host");
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    return {
      address: { kind: "tcp", host, port: url.port === "" ? NBD_PORT : Number(url.port) },
      exportName,
    };
  }
  const [name, path] = queries[0] ?? [];
  if (queries.length !== 1 || name !== "socket" || !path?.startsWith("/") || path.includes("\0"))
    throw refuse("it needs ?socket= with an absolute path, and nothing else");
  if (url.host !== "") throw refuse("a Unix socket has no host");
  return { address: { kind: "unix", path }, exportName };
}
