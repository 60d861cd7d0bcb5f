// What `ropewalk filesync show` says of a synchronization, and waiting for it to say something.
import { setTimeout as delay } from "node:timers/promises";
import type { FilesyncJson } from "../../src/client/mod.ts";
import type { Daemon } from "../support/daemon.ts";

export type ShownFilesync = FilesyncJson;

const WAIT_MS_MAX = 150_000;
const PAUSE_MS = 100;

export async function shownFilesync(daemon: Daemon, name: string): Promise<ShownFilesync> {
  return (await daemon.json("filesync", "show", name)) as ShownFilesync;
}

/** Returns what was shown when `isSo`; rejects with what is shown when that takes too long. */
export async function untilShown(
  daemon: Daemon,
  name: string,
  what: string,
  isSo: (shown: ShownFilesync) => boolean,
): Promise<ShownFilesync> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const shown = await shownFilesync(daemon, name);
    if (isSo(shown)) return shown;
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}: ${JSON.stringify(shown)}`);
    await delay(PAUSE_MS);
  }
}

/** Rejects when it takes too long. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}`);
    await delay(PAUSE_MS);
  }
}
