/** The settings of tokens: how long they live, how much of everything they may take, and when they end early. */
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { PROVIDER_POLICIES, type ProviderPolicy } from "../../offload/mod.ts";
import {
  RUNNING_WRITES,
  type RunningWrites,
  TOKEN_SECONDS,
  UNKNOWN_COMPANIONS,
  type UnknownCompanions,
} from "./config-schema.ts";
import type { SettingsReader } from "./settings-reader.ts";

/** What is undefined the token room knows better. */
export interface TokenSettings {
  readonly ttlMs: number | undefined;
  readonly ttlMsMax: number | undefined;
  readonly inactivityMs: number | undefined;
  readonly countMax: number | undefined;
  readonly memoryBytesMax: number | undefined;
  readonly heldBytesMax: number | undefined;
  readonly savedBytesPerSecondMax: number | undefined;
  readonly movedBytesPerSecondMax: number | undefined;
  readonly transferMsMax: number | undefined;
  readonly poolFreeBytesMin: number | undefined;
  readonly pinsMax: number | undefined;
  readonly preservedBytesMax: number | undefined;
  readonly checksumBytesMax: number | undefined;
  readonly runningWrites: RunningWrites | undefined;
  readonly allowUnprotected: boolean | undefined;
  readonly endWithVolume: boolean | undefined;
  readonly endWithSession: boolean | undefined;
  readonly choose: ProviderPolicy | undefined;
  readonly unknownCompanions: UnknownCompanions | undefined;
  readonly hashSearchBytes: number | undefined;
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
    savedBytesPerSecondMax: reader.size("tokens.savedPerSecondMax"),
    movedBytesPerSecondMax: reader.size("tokens.movedPerSecondMax"),
    transferMsMax: milliseconds("tokens.transferSecondsMax", TOKEN_SECONDS),
    poolFreeBytesMin: reader.size("tokens.poolFreeMin"),
    pinsMax: reader.number("tokens.pinsMax", { minimum: 1, maximum: TOKENS_MAX }),
    preservedBytesMax: reader.size("tokens.preservedMax"),
    checksumBytesMax: reader.size("tokens.checksumMax"),
    runningWrites: reader.text("tokens.runningWrites", oneOf(RUNNING_WRITES)),
    allowUnprotected: reader.boolean("tokens.allowUnprotected"),
    endWithVolume: reader.boolean("tokens.endWithVolume"),
    endWithSession: reader.boolean("tokens.endWithSession"),
    choose: reader.text("tokens.choose", oneOf(PROVIDER_POLICIES)),
    unknownCompanions: reader.text("tokens.unknownCompanions", oneOf(UNKNOWN_COMPANIONS)),
    hashSearchBytes: reader.size("tokens.hashSearchBytes"),
  };
  const { ttlMs, ttlMsMax } = settings;
  if (ttlMs !== undefined && ttlMsMax !== undefined && ttlMs > ttlMsMax)
    throw new RopewalkError(
      "INVALID_CONFIG",
      `${reader.placeOf("tokens.ttlSeconds")}: tokens.ttlSeconds is above tokens.ttlSecondsMax.`,
    );
  return settings;
}

function oneOf<Choice extends string>(choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    throw new Error(`${quoted(text)} is none of ${choices.join(", ")}.`);
  };
}
