/**
 * The library: what `import { connect } from "ropewalk"` gives. It speaks to a daemon over HTTP and loads nothing
 * of one.
 */
import { type ConnectOptions, connectThrough, type Ropewalk } from "./client/mod.ts";
import { hostClock } from "./host/clock.ts";
import { readSmallFile } from "./host/small-file.ts";

export * from "./client/mod.ts";

/** Finds a daemon by its URL and key, or by its data directory. UNREACHABLE, INVALID_ARGUMENT */
export function connect(options: ConnectOptions): Promise<Ropewalk> {
  return connectThrough(readSmallFile, options, hostClock.nowMs);
}
