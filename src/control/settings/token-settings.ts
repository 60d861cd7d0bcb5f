/** The settings of tokens: how long they live, how much of everything they may take, and when they end early. */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { RUNNING_WRITES, type RunningWrites, TOKEN_SECONDS } from "./config-schema.ts";
import type { SettingsReader } from "./settings-reader.ts";

/** What is undefined the token room knows better. */
export interface TokenSettings {
  readonly ttlMs: number | undefined;
  readonly ttlMsMax: number | undefined;
  readonly inactivityMs: number | undefined;
  readonly countMax: number | undefined;
  readonly memoryBytesMax: number | undefined;
  readonly heldBytesMax: number | undefined;
  readonly runningWrites: RunningWrites | undefined;
  readonly allowUnprotected: boolean | undefined;
  readonly endWithVolume: boolean | undefined;
  readonly endWithSession: boolean | undefined;
}

const TOKENS_MAX = 1_000_000;

/** INVALID_CONFIG */
export function readTokenSettings(reader: SettingsReader): TokenSettings {
  const milliseconds = (key: string, range: { minimum: number; maximum: number }) => {
    const seconds = reader.number(key, range);
    return seconds === undefined ? undefined : seconds * 1000;
  };
  const settings = {
    ttlMs: milliseconds("tokens.ttlSeconds", TOKEN_SECONDS),
    ttlMsMax: milliseconds("tokens.ttlSecondsMax", TOKEN_SECONDS),
    inactivityMs: milliseconds("tokens.inactivitySeconds", { ...TOKEN_SECONDS, minimum: 0 }),
    countMax: reader.number("tokens.countMax", { minimum: 1, maximum: TOKENS_MAX }),
    memoryBytesMax: reader.size("tokens.memoryMax"),
    heldBytesMax: reader.size("tokens.heldMax"),
    runningWrites: reader.text("tokens.runningWrites", parseRunningWrites),
    allowUnprotected: reader.boolean("tokens.allowUnprotected"),
    endWithVolume: reader.boolean("tokens.endWithVolume"),
    endWithSession: reader.boolean("tokens.endWithSession"),
  };
  const { ttlMs, ttlMsMax } = settings;
  if (ttlMs !== undefined && ttlMsMax !== undefined && ttlMs > ttlMsMax)
    throw new RopewalkError(
      "INVALID_CONFIG",
      `${reader.placeOf("tokens.ttlSeconds")}: tokens.ttlSeconds is above tokens.ttlSecondsMax.`,
    );
  return settings;
}

function parseRunningWrites(text: string): RunningWrites {
  const way = RUNNING_WRITES.find((candidate) => candidate === text);
  if (way) return way;
  throw new Error(`${quoted(text)} is none of ${RUNNING_WRITES.join(", ")}.`);
}
