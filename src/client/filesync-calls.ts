/**
 * The library's calls about synchronizations of directory trees, and about directories that others may write to.
 *
 * Always holds: a wait, a bulk or a verification takes as long as it takes; its signal cancels it at the daemon, and what
 * was copied stays. Errors of all: INVALID_NAME, NOT_FOUND, UNSUPPORTED.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import type {
  AddFilesyncJson,
  AddFilesyncTargetJson,
  FilesyncJson,
  FilesyncSyncJson,
  FilesyncTargetJson,
  FilesyncVerificationJson,
  MadeFilesyncTargetJson,
  SyncFilesyncJson,
} from "../frontend/http/mod.ts";
import type { ApiCaller } from "./api-call.ts";
import { followWork, type LongCallOptions } from "./long-call.ts";

const WATCH_SECONDS = 1;

export class FilesyncCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  /**
   * Replicates the directory `source` of the daemon's machine from now on; durable when it resolves, the first bulk has
   * begun. ALREADY_EXISTS, INVALID_ARGUMENT, SOURCE_MISSING, TARGET_IN_USE, TOO_MANY
   */
  add(wish: AddFilesyncJson): Promise<FilesyncJson> {
    return this.#caller.call("POST", "/filesyncs", { body: wish });
  }

  list(): Promise<FilesyncJson[]> {
    return this.#caller.call("GET", "/filesyncs");
  }

  async show(name: string): Promise<FilesyncJson> {
    return this.#caller.call("GET", filesyncPath(name));
  }

  /**
   * Resolves when every target equals the source as of this call. `onProgress` hears of its state about once a second.
   * SOURCE_MISSING, MASS_DELETION, SHUTTING_DOWN, CANCELLED (by `signal`)
   */
  async settled(
    name: string,
    { signal, onProgress }: LongCallOptions<FilesyncJson> = {},
  ): Promise<FilesyncJson> {
    const path = filesyncPath(name);
    let point: number | undefined;
    for (let seconds = 0; ; seconds += WATCH_SECONDS) {
      const answer: FilesyncJson = await this.#caller.call("GET", path, {
        query: { wait: true, waitSeconds: WATCH_SECONDS, point },
        signal,
      });
      const { wait, ...state } = answer;
      if (wait === undefined)
        throw new RopewalkError("PROTOCOL_ERROR", "The daemon did not say whether the targets are settled.");
      if (wait.settled) return state;
      point = wait.point;
      onProgress?.(state, (seconds + WATCH_SECONDS) * 1000);
    }
  }

  /**
   * Compares the tree with its targets and brings over what differs; with `dryRun` it says only what would be done.
   * MASS_DELETION (unless `allowDeletes`), SOURCE_MISSING, TOO_MANY, CANCELLED (by `signal`)
   */
  async sync(
    name: string,
    { signal, onProgress, ...wish }: SyncFilesyncJson & LongCallOptions<FilesyncJson> = {},
  ): Promise<FilesyncSyncJson> {
    return followWork(this.#caller, {
      path: `${filesyncPath(name)}/sync`,
      body: wish,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  }

  /** Compares all contents by hashes on both sides; changes nothing. SOURCE_MISSING, CANCELLED (by `signal`) */
  async verify(name: string, options: LongCallOptions<FilesyncJson> = {}): Promise<FilesyncVerificationJson> {
    return followWork(this.#caller, { ...options, path: `${filesyncPath(name)}/verify` });
  }

  /** Sends nothing until it is resumed, also after a restart; what changes meanwhile is noted. */
  async pause(name: string): Promise<FilesyncJson> {
    return this.#caller.call("POST", `${filesyncPath(name)}/pause`);
  }

  async resume(name: string): Promise<FilesyncJson> {
    return this.#caller.call("POST", `${filesyncPath(name)}/resume`);
  }

  /** Stops and forgets it; the targets stay as they are. */
  async delete(name: string): Promise<void> {
    await this.#caller.call("DELETE", filesyncPath(name));
  }
}

/** Directories of the daemon's machine that synchronizations of other daemons may write to. */
export class FilesyncTargetCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  /** The key in the answer is for the source; it is told only here. ALREADY_EXISTS, INVALID_ARGUMENT, TARGET_IN_USE */
  add(wish: AddFilesyncTargetJson): Promise<MadeFilesyncTargetJson> {
    return this.#caller.call("POST", "/filesync-targets", { body: wish });
  }

  list(): Promise<FilesyncTargetJson[]> {
    return this.#caller.call("GET", "/filesync-targets");
  }

  /** Nobody may write to it any more; what stands in the directory stays. */
  async delete(name: string): Promise<void> {
    await this.#caller.call("DELETE", `/filesync-targets/${checkName("target", name)}`);
  }
}

function filesyncPath(name: string): string {
  return `/filesyncs/${checkName("synchronization", name)}`;
}
