/**
 * The pool's settings with their defaults and bounds.
 * Always holds: `completeSettings` returns values that keep every relation below, or throws INVALID_ARGUMENT.
 */
import { RopewalkError } from "../base/errors.ts";
import { SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN } from "./format/layout.ts";
import type { PoolSettings } from "./pool-api.ts";

const MIB = 1024 * 1024;

export const DEFAULT_SETTINGS: PoolSettings = {
  sizeBytes: 64 * 1024 * MIB,
  segmentBytes: 64 * MIB,
  reserveSegments: 6,
  nodeCacheBytes: 72 * MIB,
  checkpointBytes: 256 * MIB,
  checkpointRecords: 65_536,
  checkpointNodeBytes: 96 * MIB,
  syncIntervalMs: 1000,
  syncBytes: 64 * MIB,
  writeAsideBytes: MIB / 64,
  readAsideBytes: MIB / 16,
  cursorLogBytes: 1024 * MIB,
  collectAboveRatio: 1.8,
  scrubBytesPerSecond: 0,
};

export function completeSettings(given: Partial<PoolSettings>): PoolSettings {
  const settings = { ...DEFAULT_SETTINGS };
  for (const [key, value] of Object.entries(given)) {
    if (value !== undefined) settings[key as keyof PoolSettings] = value;
  }
  for (const [name, value] of Object.entries(settings)) {
    if (
      !Number.isFinite(value) ||
      value < 0 ||
      (name !== "collectAboveRatio" && !Number.isSafeInteger(value))
    )
      refuse(`${name} must be a whole number that is not negative`);
  }
  const { segmentBytes } = settings;
  if (
    segmentBytes < SEGMENT_BYTES_MIN ||
    segmentBytes > SEGMENT_BYTES_MAX ||
    (segmentBytes & (segmentBytes - 1)) !== 0
  )
    refuse(`segmentBytes must be a power of two from ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`);
  if (settings.reserveSegments < 3) refuse("reserveSegments must be at least 3");
  if (settings.sizeBytes < (settings.reserveSegments + 4) * segmentBytes)
    refuse(`sizeBytes must be at least ${(settings.reserveSegments + 4) * segmentBytes}`);
  if (settings.collectAboveRatio < 1.05) refuse("collectAboveRatio must be at least 1.05");
  return settings;
}

function refuse(sentence: string): never {
  throw new RopewalkError("INVALID_ARGUMENT", sentence);
}
