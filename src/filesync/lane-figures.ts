/** What one target of a synchronization says of itself, from its queue, threads and bulks. */
import type { RopewalkError } from "../base/errors.ts";
import type { SynchronizationTargetFigures, ToldError } from "./synchronization-figures.ts";
import type { TargetLane } from "./target-lane.ts";
import { shownPath } from "./tree-path.ts";

export function figuresOfLane(lane: TargetLane): SynchronizationTargetFigures {
  const { figures } = lane;
  const { progress: bulk, held, error: bulkError } = lane.bulks;
  const { lag, connected, sentBytes, failures, failureCount, copyBytesPerSecond } = figures;
  const error = figures.error ?? held ?? bulkError;
  let state: SynchronizationTargetFigures["state"] = "live";
  if (figures.state === "paused") state = "paused";
  else if (figures.state === "waiting") state = "waiting";
  else if (connected === 0) state = "connecting";
  else if (bulk !== undefined) state = "bulk";
  else if (held !== undefined) state = "held";
  return {
    to: lane.to,
    state,
    connections: connected,
    lag,
    bulk:
      bulk === undefined
        ? undefined
        : {
            filesDone: bulk.filesDone,
            filesTotal: bulk.filesTotal,
            bytesDone: bulk.bytesDone,
            bytesTotal: bulk.bytesTotal,
            bytesPerSecond: copyBytesPerSecond,
            secondsLeft:
              bulk.isCounted && copyBytesPerSecond > 0
                ? (bulk.bytesTotal - bulk.bytesDone) / copyBytesPerSecond
                : undefined,
          },
    sentBytes,
    copiedFiles: lane.counters.copiedFiles,
    removed: lane.counters.removed,
    tornReads: lane.counters.torn,
    failures: failureCount,
    lastFailures: failures.map((failure) => ({ ...failure, path: shownPath(failure.path) })),
    error: toldError(error),
  };
}

export function toldError(error: RopewalkError | undefined): ToldError | undefined {
  return error === undefined ? undefined : { code: error.code, message: error.message };
}
