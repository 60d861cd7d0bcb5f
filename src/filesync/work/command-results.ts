/** What comes of commands besides what they do. */
import type { FileFailure } from "../../ports/mod.ts";
import type { Entry, NewEntry } from "../queue/entry.ts";
import { needsRepair } from "./failure-kinds.ts";
import { repairAround, type WorkParts } from "./work-parts.ts";

export interface CommandResults {
  /** Commands that are to follow. */
  readonly append: NewEntry[];
  readonly failures: FileFailure[];
  /** Milliseconds since 1970: before anything was read. */
  readonly beganMs: number;
}

/** Of a file: its directory is compared again where that may help, else it is told. */
export function commandFailed(
  parts: WorkParts,
  { place }: Entry,
  { failure, side, results }: { failure: FileFailure; side: "source" | "target"; results: CommandResults },
): void {
  const repair = side === "target" && needsRepair(failure) ? repairAround(parts, place) : undefined;
  if (repair === undefined) results.failures.push(failure);
  else results.append.push(...repair);
}
