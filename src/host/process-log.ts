/**
 * The daemon's structured log: one JSON object a line on standard error.
 * Always holds: a reader that is slow or gone never holds up the daemon; what it does not take is dropped
 * beyond 1 MiB.
 */
import { type Level, type Logger, pino } from "pino";

const WAITING_BYTES_MAX = 2 ** 20;
const STANDARD_ERROR = 2;

export type ProcessLog = Pick<Logger, "debug" | "info" | "warn" | "error"> & {
  /** Writes out what waits, as far as it can without waiting; for the end of the process. */
  flushNow(): void;
};

export function openProcessLog(level: Level | "silent"): ProcessLog {
  const destination = pino.destination({ dest: STANDARD_ERROR, sync: false, maxLength: WAITING_BYTES_MAX });
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return Object.assign(logger, {
    flushNow() {
      try {
        destination.flushSync();
      } catch {
        // Standard error is gone, or was never opened because nothing was logged.
      }
    },
  });
}
