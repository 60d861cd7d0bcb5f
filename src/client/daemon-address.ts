/**
 * Where a daemon's API is and the key to it: given, or looked up in its data directory.
 * Errors: UNREACHABLE when no daemon runs there, INVALID_ARGUMENT when what was given is no address.
 */
import { join } from "node:path";
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";

/** Reads a small text file; rejects with the system's error when it cannot. */
export type ReadText = (path: string) => Promise<string>;

/** A URL with a key, or a data directory that both can be looked up in; what is given goes first. */
export interface ConnectOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`; else the one in `endpoints.json`. */
  readonly url?: string | undefined;
  /** The admin key; else the one in `admin.key`. */
  readonly key?: string | undefined;
  /** The daemon's data directory. */
  readonly dataDirectory?: string | undefined;
}

export interface DaemonAddress {
  readonly url: URL;
  readonly key: string;
}

export async function findDaemon(options: ConnectOptions, readText: ReadText): Promise<DaemonAddress> {
  const { dataDirectory } = options;
  const lookUp = (file: string): Promise<string> => {
    if (dataDirectory !== undefined) return read(readText, join(dataDirectory, file), dataDirectory);
    throw new RopewalkError("INVALID_ARGUMENT", "Give the daemon's URL and key, or its data directory.");
  };
  const url = parseUrl(options.url ?? urlOf(await lookUp("endpoints.json")));
  return { url, key: options.key ?? (await lookUp("admin.key")).trim() };
}

/** INVALID_ARGUMENT */
function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `${quoted(text)} is no URL of a daemon; write it as http://127.0.0.1:7430.`,
  );
}

function urlOf(endpoints: string): string {
  try {
    const { url } = JSON.parse(endpoints) as { url?: unknown };
    if (typeof url === "string") return url;
  } catch {
    // Said below, as for any other content that is not the daemon's.
  }
  throw new RopewalkError("UNREACHABLE", "The data directory's endpoints.json was not written by a daemon.");
}

async function read(readText: ReadText, path: string, dataDirectory: string): Promise<string> {
  try {
    return await readText(path);
  } catch (cause) {
    const isAbsent = (cause as { code?: string }).code === "ENOENT";
    throw new RopewalkError(
      "UNREACHABLE",
      isAbsent
        ? `No daemon runs on ${dataDirectory}; start one with: ropewalk serve --data ${dataDirectory}`
        : `${path} cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}
