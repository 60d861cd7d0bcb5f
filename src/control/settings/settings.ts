/**
 * What the daemon is told: all settings with their defaults, from all sources.
 *
 * Always holds: flags go over the environment, that over the file, that over the defaults; every value was
 * checked, and a refusal says where the value stands. Addresses that are not loopback have TLS or were allowed
 * explicitly. Errors: INVALID_CONFIG, INSECURE_ADDRESS.
 */
import { RopewalkError } from "../../base/errors.ts";
import { checkName, checkVolumeSize, quoted } from "../../base/object-name.ts";
import { parseSize } from "../../base/size-text.ts";
import { type Address, formatAddress, isLoopbackHost, parseAddress } from "./address.ts";
import { LOG_LEVELS, type LogLevel } from "./config-schema.ts";
import type { GivenSettings } from "./given-settings.ts";
import { type IscsiSettings, readIscsiSettings } from "./iscsi-settings.ts";
import { serviceRoutes } from "./service-routes.ts";
import { notEmpty, SettingsReader } from "./settings-reader.ts";
import { readTokenSettings, type TokenSettings } from "./token-settings.ts";

export interface TlsFileNames {
  readonly certificate: string;
  readonly key: string;
  readonly clientAuthority?: string;
}

export interface Settings {
  readonly data: string;
  /** `admin.key` of the data directory when undefined. */
  readonly adminKeyFile: string | undefined;
  readonly logLevel: LogLevel;
  readonly nbd: {
    readonly addresses: readonly Address[];
    readonly tls: (TlsFileNames & { readonly isRequired: boolean }) | undefined;
    readonly connectionsMax: number | undefined;
    /** How long to look for the next request before sleeping, in microseconds. */
    readonly pollUs: number | undefined;
  };
  readonly iscsi: IscsiSettings;
  readonly http: {
    readonly address: Address;
    readonly tls: TlsFileNames | undefined;
    readonly connectionsMax: number | undefined;
    readonly requestTimeoutMs: number | undefined;
  };
  /** Where other daemons come to. */
  readonly peer: {
    readonly address: Address;
    readonly connectionsMax: number | undefined;
  };
  readonly pool: {
    readonly sizeBytes: number | undefined;
    readonly nodeCacheBytes: number | undefined;
    readonly collectAboveRatio: number | undefined;
    readonly scrubBytesPerSecond: number | undefined;
    /** Threads that checksum pages beside the loop. */
    readonly pageThreads: number | undefined;
  };
  readonly tokens: TokenSettings & {
    /** Where tokens' sources are served, as far as is known before anything listens. */
    readonly routes: readonly string[];
  };
  /** Layers over single volumes, not yet checked. */
  readonly layers: ReadonlyMap<string, { readonly description: unknown; readonly where: string }>;
}

export const SETTINGS_DEFAULT = {
  data: "./ropewalk-data",
  nbdAddress: "127.0.0.1:10809",
  httpAddress: "127.0.0.1:7430",
  peerAddress: "127.0.0.1:7431",
  logLevel: "info",
} as const;

/** `sources` with the strongest first. */
export function resolveSettings(sources: readonly GivenSettings[]): Settings {
  const reader = new SettingsReader(sources);
  const insecure = reader.boolean("insecure") ?? false;
  const nbdAddresses = reader.texts("nbd.addresses", parseAddress) ?? [
    parseAddress(SETTINGS_DEFAULT.nbdAddress),
  ];
  const httpAddress = reader.text("http.address", parseAddress) ?? parseAddress(SETTINGS_DEFAULT.httpAddress);
  const nbdTls = reader.tls("nbd.tls");
  const httpTls = reader.tls("http.tls");
  if (!insecure) {
    if (!httpTls) refuseOpenAddresses("http", [httpAddress]);
    if (!nbdTls || reader.boolean("nbd.tls.required") === false) refuseOpenAddresses("nbd", nbdAddresses);
  }
  const isRequired =
    reader.boolean("nbd.tls.required") ?? nbdAddresses.some(({ host }) => !isLoopbackHost(host));
  const requestSeconds = reader.number("http.requestSeconds", { minimum: 1, maximum: 3600 });
  const connections = { minimum: 1, maximum: 65_536 };
  const served = {
    data: reader.text("data", notEmpty) ?? SETTINGS_DEFAULT.data,
    nbd: {
      addresses: nbdAddresses,
      tls: nbdTls && { ...nbdTls, isRequired },
      connectionsMax: reader.number("nbd.connectionsMax", connections),
      pollUs: reader.number("nbd.pollMicroseconds", { minimum: 0, maximum: 1000 }),
    },
    iscsi: readIscsiSettings(reader, { insecure }),
    http: {
      address: httpAddress,
      tls: httpTls,
      connectionsMax: reader.number("http.connectionsMax", connections),
      requestTimeoutMs: requestSeconds === undefined ? undefined : requestSeconds * 1000,
    },
  };
  return {
    ...served,
    adminKeyFile: reader.text("adminKeyFile", notEmpty),
    logLevel: reader.text("logLevel", parseLogLevel) ?? SETTINGS_DEFAULT.logLevel,
    peer: {
      address: reader.text("peer.address", parseAddress) ?? parseAddress(SETTINGS_DEFAULT.peerAddress),
      connectionsMax: reader.number("peer.connectionsMax", connections),
    },
    pool: {
      sizeBytes: reader.size("pool.size"),
      nodeCacheBytes: reader.size("pool.nodeCache"),
      collectAboveRatio: reader.number("pool.collectAboveRatio", { minimum: 1.05, maximum: 100 }),
      scrubBytesPerSecond: reader.size("pool.scrubPace"),
      pageThreads: reader.number("pool.pageThreads", { minimum: 0, maximum: 16 }),
    },
    tokens: { ...readTokenSettings(reader), routes: serviceRoutes(served) },
    layers: reader.layers(),
  };
}

/** `NAME:SIZE`, the volume that is made together with a new pool. INVALID_CONFIG */
export function parseFirstVolume(text: string): { name: string; sizeBytes: number } {
  const colon = text.indexOf(":");
  try {
    return {
      name: checkName("volume", text.slice(0, Math.max(0, colon))),
      sizeBytes: checkVolumeSize(parseSize(text.slice(colon + 1))),
    };
  } catch (cause) {
    throw new RopewalkError("INVALID_CONFIG", `--first-volume: ${(cause as Error).message}`, { cause });
  }
}

function refuseOpenAddresses(frontEnd: string, addresses: readonly Address[]): void {
  const open = addresses.find(({ host }) => !isLoopbackHost(host));
  if (!open) return;
  throw new RopewalkError(
    "INSECURE_ADDRESS",
    `${formatAddress(open)} is not loopback: give ${frontEnd}.tls a certificate and key, or say --insecure.`,
  );
}

function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === text);
  if (level) return level;
  throw new Error(`${quoted(text)} is no log level; there are ${LOG_LEVELS.join(", ")}.`);
}
