/**
 * The library: typed calls to a daemon.
 *
 *     const ropewalk = await connect({ dataDirectory: "./ropewalk-data" });
 *     await ropewalk.volumes.create({ name: "disk", sizeBytes: 10 * 2 ** 30 });
 *     await ropewalk.snapshots.create("disk", "before");
 *     await ropewalk.copy({ source: "disk@before", destination: "other" });
 *     await ropewalk.filesyncs.add({ name: "home", source: "/home", targets: [{ to: "/srv/copy" }] });
 *     const { token } = await ropewalk.createToken({ source: "disk", lengthBytes: 4096 });
 *     for await (const bytes of ropewalk.readToken(token)) process.stdout.write(bytes);
 *
 * Errors: every call rejects with a RopewalkError; its `code` is one of docs/errors.md.
 */
import type {
  ChangePoolJson,
  CollectionJson,
  CopyJson,
  CreateTokenJson,
  CreateVolumeJson,
  DifferenceJson,
  PoolJson,
  ScrubJson,
  ScrubWorkJson,
  ShownTokensJson,
  SnapshotJson,
  StatusJson,
  TokenJson,
  TokenWrittenJson,
  VolumeJson,
  ZeroedJson,
} from "../frontend/http/mod.ts";
import { ApiCaller, snapshotPath, volumePath } from "./api-call.ts";
import { type CopyOptions, copy } from "./copy-call.ts";
import { type ConnectOptions, findDaemon, type ReadText } from "./daemon-address.ts";
import { readDifferences } from "./difference-stream.ts";
import { FilesyncCalls, FilesyncTargetCalls } from "./filesync-calls.ts";
import { followWork, type LongCallOptions } from "./long-call.ts";
import {
  createToken,
  type GivenToken,
  listTokens,
  type MadeToken,
  type ReadTokenOptions,
  readToken,
  revokeToken,
  showToken,
  type TokenId,
  type WriteTokenOptions,
  writeToken,
} from "./token-calls.ts";

/** Milliseconds that only grow, with fractions. */
export type NowMs = () => number;

/**
 * Finds the daemon and asks nothing yet. With `nowMs`, every `elapsedMs` is from the request sent to the reply received;
 * without, from the request's arrival at the daemon to its end there. UNREACHABLE, INVALID_ARGUMENT
 */
export async function connectThrough(
  readText: ReadText,
  options: ConnectOptions,
  nowMs?: NowMs,
): Promise<Ropewalk> {
  return new Ropewalk(new ApiCaller(await findDaemon(options, readText)), nowMs);
}

export class Ropewalk {
  readonly volumes: VolumeCalls;
  readonly snapshots: SnapshotCalls;
  readonly filesyncs: FilesyncCalls;
  readonly filesyncTargets: FilesyncTargetCalls;
  readonly #caller: ApiCaller;
  readonly #nowMs: NowMs | undefined;

  constructor(caller: ApiCaller, nowMs?: NowMs) {
    this.#caller = caller;
    this.#nowMs = nowMs;
    this.volumes = new VolumeCalls(caller);
    this.snapshots = new SnapshotCalls(caller);
    this.filesyncs = new FilesyncCalls(caller);
    this.filesyncTargets = new FilesyncTargetCalls(caller);
  }

  /** State of the daemon and its pool. */
  status(): Promise<StatusJson> {
    return this.#caller.call("GET", "/status");
  }

  /** Changes settings of the running pool, such as its size. INVALID_SIZE, INVALID_ARGUMENT */
  changePool(change: ChangePoolJson): Promise<PoolJson> {
    return this.#caller.call("PATCH", "/pool", { body: change });
  }

  /** Reads everything and compares it with its checksums; joins a scrub under way. CANCELLED */
  scrub(options: LongCallOptions<NonNullable<ScrubWorkJson["progress"]>> = {}): Promise<ScrubJson> {
    return followWork(this.#caller, { ...options, path: "/scrub" });
  }

  /** Gives space back until used space is at most `ratio` times live data; joins a collection under way. CANCELLED */
  collect(
    options: LongCallOptions<CollectionJson> & { readonly ratio?: number } = {},
  ): Promise<CollectionJson> {
    const { ratio, ...rest } = options;
    return followWork(this.#caller, { ...rest, path: "/gc", body: ratio === undefined ? {} : { ratio } });
  }

  /**
   * A token for a range of a volume or snapshot: it stands for the data as it is now (`policy: "preserve"`), and gives
   * it to whoever has the token. It may stand for less than asked for, which `lengthBytes` says.
   * VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_RANGE, UNSUPPORTED, TOKEN_UNSUPPORTED
   */
  createToken(wish: CreateTokenJson): Promise<MadeToken> {
    return createToken(this.#caller, wish);
  }

  /** All tokens that the daemon knows; what is listed gives no access to their data. */
  tokens(): Promise<TokenJson[]> {
    return listTokens(this.#caller);
  }

  /** What a token is, and whether it is still valid. TOKEN_UNKNOWN */
  showToken(token: GivenToken): Promise<ShownTokensJson> {
    return showToken(this.#caller, token);
  }

  /** The data of a token as it arrives, cut at the token's end. The TOKEN_ codes */
  readToken(token: GivenToken, options: ReadTokenOptions = {}): AsyncGenerator<Uint8Array> {
    return readToken(this.#caller, token, options);
  }

  /**
   * Writes the data of a token into a volume; no data passes through the caller. Durable when it resolves.
   * VOLUME_NOT_FOUND, NO_SPACE, TOKEN_CUT when the token holds less than asked for, the other TOKEN_ codes
   */
  writeToken(token: GivenToken, options: WriteTokenOptions): Promise<TokenWrittenJson> {
    return this.#timed(() => writeToken(this.#caller, token, options));
  }

  /**
   * Ends a token, which may be named by its id alone: at once, or (`strength: "hint"`) when space is wanted.
   * TOKEN_UNKNOWN, NOT_FOUND (no token has the id)
   */
  revokeToken(
    token: GivenToken | TokenId,
    { strength = "mandatory" }: { strength?: "mandatory" | "hint" } = {},
  ): Promise<void> {
    return revokeToken(this.#caller, token, { strength });
  }

  /**
   * Copies a volume or snapshot, or a range of it, into a volume, which is made when there is none and grown when it is
   * too small. By tokens where both sides can, so that on the pool no data moves. `signal` cancels it at the daemon;
   * what was copied stays, and the error says how much. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_RANGE, NO_SPACE,
   * CANCELLED
   */
  copy(options: CopyOptions): Promise<CopyJson> {
    return this.#timed(() => copy(this.#caller, options));
  }

  /** Makes a volume, or a range of it, read as zeros. Durable when it resolves. VOLUME_NOT_FOUND, INVALID_RANGE, CANCELLED */
  zero(
    volume: string,
    options: { offsetBytes?: number; lengthBytes?: number; signal?: AbortSignal } = {},
  ): Promise<ZeroedJson> {
    const { signal, ...body } = options;
    return this.#timed(() => this.#caller.call("POST", `${volumePath(volume)}/zero`, { body, signal }));
  }

  async #timed<Answer extends { readonly elapsedMs: number }>(call: () => Promise<Answer>): Promise<Answer> {
    const nowMs = this.#nowMs;
    if (nowMs === undefined) return call();
    await this.#caller.prepare();
    const startedMs = nowMs();
    const answer = await call();
    return { ...answer, elapsedMs: Math.round((nowMs() - startedMs) * 1000) / 1000 };
  }
}

/** Errors of all: INVALID_NAME, VOLUME_NOT_FOUND. */
export class VolumeCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  list(): Promise<VolumeJson[]> {
    return this.#caller.call("GET", "/volumes");
  }

  async show(name: string): Promise<VolumeJson> {
    return this.#caller.call("GET", volumePath(name));
  }

  /** A thin volume that reads as zeros, or one that is a `stack` over others. INVALID_SIZE, ALREADY_EXISTS, INVALID_CONFIG */
  create(volume: CreateVolumeJson): Promise<VolumeJson> {
    return this.#caller.call("POST", "/volumes", { body: volume });
  }

  /** INVALID_SIZE; IN_USE when it would shrink under connected clients. */
  async resize(name: string, sizeBytes: number): Promise<VolumeJson> {
    return this.#caller.call("POST", `${volumePath(name)}/resize`, { body: { sizeBytes } });
  }

  /** IN_USE, HAS_SNAPSHOTS, HAS_CLONES */
  async delete(name: string): Promise<void> {
    await this.#caller.call("DELETE", volumePath(name));
  }

  /** A writable copy of a volume as it is now, or of a snapshot; no data moves. ALREADY_EXISTS, SNAPSHOT_NOT_FOUND */
  async clone(options: { source: string; snapshot?: string | undefined; name: string }): Promise<VolumeJson> {
    const { source, snapshot, name } = options;
    return this.#caller.call("POST", `${volumePath(source)}/clone`, {
      body: snapshot === undefined ? { name } : { name, snapshot },
    });
  }

  /** Forgets what the volume was cloned from, so that it may be deleted. */
  async detach(name: string): Promise<VolumeJson> {
    return this.#caller.call("POST", `${volumePath(name)}/detach`);
  }
}

/** Errors of all: INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND. */
export class SnapshotCalls {
  readonly #caller: ApiCaller;

  constructor(caller: ApiCaller) {
    this.#caller = caller;
  }

  /** Of one volume, or of all; oldest first. */
  async list(volume?: string): Promise<SnapshotJson[]> {
    return this.#caller.call("GET", volume === undefined ? "/snapshots" : `${volumePath(volume)}/snapshots`);
  }

  async show(volume: string, name: string): Promise<SnapshotJson> {
    return this.#caller.call("GET", snapshotPath(volume, name));
  }

  /** Durable when it resolves. ALREADY_EXISTS */
  async create(volume: string, name: string): Promise<SnapshotJson> {
    return this.#caller.call("POST", `${volumePath(volume)}/snapshots`, { body: { name } });
  }

  /** IN_USE, HAS_CLONES */
  async delete(volume: string, name: string): Promise<void> {
    await this.#caller.call("DELETE", snapshotPath(volume, name));
  }

  /** The volume becomes what the snapshot holds. IN_USE */
  async rollback(volume: string, name: string): Promise<VolumeJson> {
    return this.#caller.call("POST", `${snapshotPath(volume, name)}/rollback`);
  }

  /**
   * Ranges that changed from the snapshot `from` to the snapshot `to`, or to the volume as it is now, in order,
   * as they are found. PROTOCOL_ERROR when they end in the middle. INVALID_RANGE
   */
  async *difference(options: {
    volume: string;
    from: string;
    to?: string | undefined;
    offsetBytes?: number;
    lengthBytes?: number;
    signal?: AbortSignal;
  }): AsyncGenerator<DifferenceJson> {
    const { volume, signal, ...query } = options;
    yield* readDifferences(await this.#caller.open("GET", `${volumePath(volume)}/diff`, { query, signal }));
  }
}
