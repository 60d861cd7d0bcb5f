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
import type { GivenSetting, GivenSettings } from "./given-settings.ts";

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
  readonly http: {
    readonly address: Address;
    readonly tls: TlsFileNames | undefined;
    readonly connectionsMax: number | undefined;
    readonly requestTimeoutMs: number | undefined;
  };
  readonly pool: {
    readonly sizeBytes: number | undefined;
    readonly nodeCacheBytes: number | undefined;
    readonly collectAboveRatio: number | undefined;
    readonly scrubBytesPerSecond: number | undefined;
    /** Threads that checksum pages beside the loop. */
    readonly pageThreads: number | undefined;
  };
  /** Layers over single volumes, not yet checked. */
  readonly layers: ReadonlyMap<string, { readonly description: unknown; readonly where: string }>;
}

export const SETTINGS_DEFAULT = {
  data: "./ropewalk-data",
  nbdAddress: "127.0.0.1:10809",
  httpAddress: "127.0.0.1:7430",
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
  const requestSeconds = reader.integer("http.requestSeconds", { minimum: 1, maximum: 3600 });
  const connections = { minimum: 1, maximum: 65_536 };
  return {
    data: reader.text("data", notEmpty) ?? SETTINGS_DEFAULT.data,
    adminKeyFile: reader.text("adminKeyFile", notEmpty),
    logLevel: reader.text("logLevel", parseLogLevel) ?? SETTINGS_DEFAULT.logLevel,
    nbd: {
      addresses: nbdAddresses,
      tls: nbdTls && { ...nbdTls, isRequired },
      connectionsMax: reader.integer("nbd.connectionsMax", connections),
      pollUs: reader.integer("nbd.pollMicroseconds", { minimum: 0, maximum: 1000 }),
    },
    http: {
      address: httpAddress,
      tls: httpTls,
      connectionsMax: reader.integer("http.connectionsMax", connections),
      requestTimeoutMs: requestSeconds === undefined ? undefined : requestSeconds * 1000,
    },
    pool: {
      sizeBytes: reader.size("pool.size"),
      nodeCacheBytes: reader.size("pool.nodeCache"),
      collectAboveRatio: reader.number("pool.collectAboveRatio", { minimum: 1.05, maximum: 100 }),
      scrubBytesPerSecond: reader.size("pool.scrubPace"),
      pageThreads: reader.integer("pool.pageThreads", { minimum: 0, maximum: 16 }),
    },
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

class SettingsReader {
  readonly #sources: readonly GivenSettings[];

  constructor(sources: readonly GivenSettings[]) {
    this.#sources = sources;
  }

  text<Value>(key: string, parse: (text: string) => Value): Value | undefined {
    return this.#read(key, (value) => {
      if (typeof value !== "string") throw new Error("it must be a text");
      return parse(value);
    });
  }

  texts<Value>(key: string, parse: (text: string) => Value): Value[] | undefined {
    return this.#read(key, (value) => (value as string[]).map(parse));
  }

  boolean(key: string): boolean | undefined {
    return this.#read(key, (value) => value === true);
  }

  integer(key: string, range: { minimum: number; maximum: number }): number | undefined {
    return this.number(key, range);
  }

  number(key: string, { minimum, maximum }: { minimum: number; maximum: number }): number | undefined {
    return this.#read(key, (value) => {
      if (typeof value === "number" && value >= minimum && value <= maximum) return value;
      throw new Error(`it must be a number from ${minimum} to ${maximum}`);
    });
  }

  size(key: string): number | undefined {
    return this.#read(key, (value) => (typeof value === "number" ? value : parseSize(String(value))));
  }

  tls(key: string): TlsFileNames | undefined {
    const certificate = this.text(`${key}.certificate`, notEmpty);
    const keyFile = this.text(`${key}.key`, notEmpty);
    const clientAuthority = this.text(`${key}.clientAuthority`, notEmpty);
    if (certificate === undefined && keyFile === undefined && clientAuthority === undefined) return undefined;
    if (certificate === undefined || keyFile === undefined)
      throw new RopewalkError("INVALID_CONFIG", `${key} needs both certificate and key.`);
    return { certificate, key: keyFile, ...(clientAuthority === undefined ? {} : { clientAuthority }) };
  }

  layers(): Settings["layers"] {
    const found = this.#find("volumes");
    if (!found) return new Map();
    const volumes = Object.entries(found.value as Record<string, { layers: unknown }>);
    return new Map(
      volumes.map(([name, { layers }]) => [name, { description: layers, where: found.where }] as const),
    );
  }

  #read<Value>(key: string, parse: (value: unknown) => Value): Value | undefined {
    const found = this.#find(key);
    if (!found) return undefined;
    try {
      return parse(found.value);
    } catch (cause) {
      throw new RopewalkError("INVALID_CONFIG", `${found.where}: ${(cause as Error).message}`, { cause });
    }
  }

  #find(key: string): GivenSetting | undefined {
    return this.#sources.find((source) => source.has(key))?.get(key);
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

function notEmpty(text: string): string {
  if (text !== "") return text;
  throw new Error("it must not be empty.");
}
