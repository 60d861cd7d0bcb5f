/**
 * Settings as one source gives them, before they mean anything: key → value and where it stands.
 * Keys are those of the configuration file, joined by points: `http.address`.
 */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";

export interface GivenSetting {
  readonly value: unknown;
  /** For messages: `ropewalk.yaml:7`, `ROPEWALK_HTTP`, `--http`. */
  readonly where: string;
}

export type GivenSettings = ReadonlyMap<string, GivenSetting>;

/** `portals`: a list whose entries may themselves end in a comma and a number. */
type Form = "text" | "list" | "portals" | "boolean" | "integer" | "number";

/** What can be set from the environment, and by which flag of `serve`. */
export const SETTING_NAMES: Record<string, { environment: string; flag?: string; form: Form }> = {
  data: { environment: "ROPEWALK_DATA", flag: "--data", form: "text" },
  adminKeyFile: { environment: "ROPEWALK_ADMIN_KEY_FILE", form: "text" },
  insecure: { environment: "ROPEWALK_INSECURE", flag: "--insecure", form: "boolean" },
  logLevel: { environment: "ROPEWALK_LOG_LEVEL", flag: "--log-level", form: "text" },
  "nbd.addresses": { environment: "ROPEWALK_NBD", flag: "--nbd", form: "list" },
  "nbd.tls.certificate": { environment: "ROPEWALK_NBD_TLS_CERTIFICATE", form: "text" },
  "nbd.tls.key": { environment: "ROPEWALK_NBD_TLS_KEY", form: "text" },
  "nbd.tls.clientAuthority": { environment: "ROPEWALK_NBD_TLS_CLIENT_AUTHORITY", form: "text" },
  "nbd.tls.required": { environment: "ROPEWALK_NBD_TLS_REQUIRED", form: "boolean" },
  "nbd.connectionsMax": { environment: "ROPEWALK_NBD_CONNECTIONS_MAX", form: "integer" },
  "nbd.pollMicroseconds": { environment: "ROPEWALK_NBD_POLL_MICROSECONDS", form: "integer" },
  "iscsi.addresses": { environment: "ROPEWALK_ISCSI", flag: "--iscsi", form: "portals" },
  "iscsi.connectionsMax": { environment: "ROPEWALK_ISCSI_CONNECTIONS_MAX", form: "integer" },
  "iscsi.blockBytes": { environment: "ROPEWALK_ISCSI_BLOCK_BYTES", form: "integer" },
  "http.address": { environment: "ROPEWALK_HTTP", flag: "--http", form: "text" },
  "http.tls.certificate": { environment: "ROPEWALK_HTTP_TLS_CERTIFICATE", form: "text" },
  "http.tls.key": { environment: "ROPEWALK_HTTP_TLS_KEY", form: "text" },
  "http.connectionsMax": { environment: "ROPEWALK_HTTP_CONNECTIONS_MAX", form: "integer" },
  "http.requestSeconds": { environment: "ROPEWALK_HTTP_REQUEST_SECONDS", form: "integer" },
  "peer.address": { environment: "ROPEWALK_PEER", flag: "--peer", form: "text" },
  "peer.connectionsMax": { environment: "ROPEWALK_PEER_CONNECTIONS_MAX", form: "integer" },
  "pool.size": { environment: "ROPEWALK_POOL_SIZE", flag: "--pool-size", form: "text" },
  "pool.nodeCache": { environment: "ROPEWALK_POOL_NODE_CACHE", form: "text" },
  "pool.collectAboveRatio": { environment: "ROPEWALK_POOL_COLLECT_ABOVE_RATIO", form: "number" },
  "pool.pageThreads": { environment: "ROPEWALK_POOL_PAGE_THREADS", form: "integer" },
  "pool.scrubPace": { environment: "ROPEWALK_POOL_SCRUB_PACE", form: "text" },
  "tokens.ttlSeconds": { environment: "ROPEWALK_TOKENS_TTL_SECONDS", form: "integer" },
  "tokens.ttlSecondsMax": { environment: "ROPEWALK_TOKENS_TTL_SECONDS_MAX", form: "integer" },
  "tokens.inactivitySeconds": { environment: "ROPEWALK_TOKENS_INACTIVITY_SECONDS", form: "integer" },
  "tokens.countMax": { environment: "ROPEWALK_TOKENS_COUNT_MAX", form: "integer" },
  "tokens.memoryMax": { environment: "ROPEWALK_TOKENS_MEMORY_MAX", form: "text" },
  "tokens.heldMax": { environment: "ROPEWALK_TOKENS_HELD_MAX", form: "text" },
  "tokens.savedPerSecondMax": { environment: "ROPEWALK_TOKENS_SAVED_PER_SECOND_MAX", form: "text" },
  "tokens.movedPerSecondMax": { environment: "ROPEWALK_TOKENS_MOVED_PER_SECOND_MAX", form: "text" },
  "tokens.transferSecondsMax": { environment: "ROPEWALK_TOKENS_TRANSFER_SECONDS_MAX", form: "integer" },
  "tokens.poolFreeMin": { environment: "ROPEWALK_TOKENS_POOL_FREE_MIN", form: "text" },
  "tokens.pinsMax": { environment: "ROPEWALK_TOKENS_PINS_MAX", form: "integer" },
  "tokens.preservedMax": { environment: "ROPEWALK_TOKENS_PRESERVED_MAX", form: "text" },
  "tokens.checksumMax": { environment: "ROPEWALK_TOKENS_CHECKSUM_MAX", form: "text" },
  "tokens.runningWrites": { environment: "ROPEWALK_TOKENS_RUNNING_WRITES", form: "text" },
  "tokens.allowUnprotected": { environment: "ROPEWALK_TOKENS_ALLOW_UNPROTECTED", form: "boolean" },
  "tokens.endWithVolume": { environment: "ROPEWALK_TOKENS_END_WITH_VOLUME", form: "boolean" },
  "tokens.endWithSession": { environment: "ROPEWALK_TOKENS_END_WITH_SESSION", form: "boolean" },
  "tokens.choose": { environment: "ROPEWALK_TOKENS_CHOOSE", form: "text" },
  "tokens.hashSearchBytes": { environment: "ROPEWALK_TOKENS_HASH_SEARCH_BYTES", form: "text" },
  "tokens.unknownCompanions": { environment: "ROPEWALK_TOKENS_UNKNOWN_COMPANIONS", form: "text" },
};

/** Names the file itself, so it is no setting. */
export const CONFIG_FILE_ENVIRONMENT = "ROPEWALK_CONFIG";

/** Empty variables count as not set. INVALID_CONFIG */
export function settingsOfEnvironment(environment: Record<string, string | undefined>): GivenSettings {
  const given = new Map<string, GivenSetting>();
  for (const [key, { environment: name, form }] of Object.entries(SETTING_NAMES)) {
    const text = environment[name];
    if (text !== undefined && text !== "") given.set(key, { value: parsedAs(form, text, name), where: name });
  }
  return given;
}

/** `flags` by setting: texts, lists of texts, or true. */
export function settingsOfFlags(flags: Record<string, string | string[] | true | undefined>): GivenSettings {
  const given = new Map<string, GivenSetting>();
  for (const [key, value] of Object.entries(flags))
    if (value !== undefined) given.set(key, { value, where: SETTING_NAMES[key]?.flag ?? key });
  return given;
}

function parsedAs(form: Form, text: string, where: string): unknown {
  switch (form) {
    case "text":
      return text;
    case "list":
      return text.split(",").map((part) => part.trim());
    case "portals":
      return text.split(/,(?!\s*\d+\s*(?:,|$))/).map((part) => part.trim());
    case "boolean":
      if (text === "true" || text === "1") return true;
      if (text === "false" || text === "0") return false;
      throw new RopewalkError("INVALID_CONFIG", `${where}: ${quoted(text)} is not true or false.`);
    case "integer":
    case "number": {
      const number = Number(text);
      if (form === "number" ? Number.isFinite(number) : Number.isSafeInteger(number)) return number;
      throw new RopewalkError("INVALID_CONFIG", `${where}: ${quoted(text)} is no ${form}.`);
    }
  }
}
