/**
 * What can be done with tokens: make, list, look, read, write, revoke (T1 to T4, T10, T17, T25).
 *
 * Always holds: names and numbers were checked before a device or the token room sees them; every opening of a
 * device is closed again; a structure of several tokens is taken wherever a token is.
 * Errors: UNSUPPORTED where there is no token room or the device has no token copies, the TOKEN_ codes, and the codes
 * named at each method.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import type { ChangePolicy, OffloadToken, ProviderChoice, TokenJoiner } from "../device/mod.ts";
import {
  type GivenTokenNotes,
  type NotedReadRequest,
  type ProviderPolicy,
  routesTo,
  type TokenInfo,
  type TokenService,
} from "../offload/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { ControlledTokens } from "./controlled-tokens.ts";
import type { Exports } from "./exports.ts";
import { flushDevice, offloadOf, openDevice } from "./opened-device.ts";
import { partialFailure } from "./partial-failure.ts";
import { encodeTokenFile, TOKENS_IN_FILE_MAX, type TokenPiece } from "./token-file.ts";
import { dataLengthFrom, type PlacedToken, runsAt, writeThroughTokens } from "./token-runs.ts";
import { lastPieces, type PlacedPiece, placedPieces, type TokenWritePiece } from "./token-write-pieces.ts";

export interface TokenWish extends GivenTokenNotes {
  /** `VOLUME` or `VOLUME@SNAPSHOT`. */
  readonly source: string;
  readonly offsetBytes?: number | undefined;
  /** To the source's end when absent. */
  readonly lengthBytes?: number | undefined;
  /** `hash`: it carries hashes of the data's blocks, and nothing is kept for it (T23). */
  readonly kind?: "data" | "hash" | undefined;
  /** Of hash tokens `invalidate`, of others `preserve` when absent. */
  readonly policy?: ChangePolicy | undefined;
  readonly ttlMs?: number | undefined;
  readonly inactivityMs?: number | undefined;
  readonly persistent?: boolean | undefined;
  readonly deleteOnUse?: boolean | undefined;
  readonly priority?: number | undefined;
  readonly provider?: ProviderChoice | undefined;
  /** How a provider is chosen when none is named; the first when absent. */
  readonly choose?: ProviderPolicy | undefined;
  readonly withChecksums?: boolean | undefined;
  /** One token for all of it, also when it is on several members of a stack. */
  readonly single?: boolean | undefined;
}

export interface MadeTokens {
  /** All of them in one: a plain token, or a token file. */
  readonly file: Uint8Array;
  readonly tokens: readonly OffloadToken[];
  /** How much of what was asked for they stand for, from its start on. */
  readonly lengthBytes: number;
}

/** On which kind of channel a token is handed in or out (T14). */
export interface Channel {
  readonly isProtected: boolean;
}

export type ShownToken = TokenInfo & {
  readonly dataOffsetBytes: number;
  readonly role: TokenPiece["role"];
  /** URIs under which its source is served. */
  readonly routes: readonly string[];
};

export interface TokenRange {
  readonly offsetBytes?: number | undefined;
  readonly lengthBytes?: number | undefined;
}

export interface TokenWriteWish {
  readonly tokens: readonly TokenPiece[];
  readonly volume: string;
  /** Written in this order; all that the tokens hold, to the volume's start, when absent. */
  readonly pieces?: readonly TokenWritePiece[] | undefined;
}

export interface WrittenPiece {
  readonly tokenOffsetBytes: number;
  readonly offsetBytes: number;
  readonly bytes: number;
}

export interface WrittenTokens {
  readonly bytes: number;
  readonly bytesMoved: number;
  readonly elapsedMs: number;
  /** Where each piece was read from and written to. */
  readonly pieces: readonly WrittenPiece[];
}

const CREATOR = "api";
const READ_PIECE_BYTES = 2 ** 20;
/** The zero token stands for any length. */
const ZERO_TOKEN_LENGTH_BYTES = Number.MAX_SAFE_INTEGER;

export class Tokens {
  readonly #exports: Exports;
  readonly #clock: Clock;
  readonly #room: ControlledTokens | undefined;

  constructor(options: {
    exports: Exports;
    clock: Clock;
    room: ControlledTokens | undefined;
  }) {
    this.#exports = options.exports;
    this.#clock = options.clock;
    this.#room = options.room;
  }

  /** Binds a range; it may be less than asked for, which `lengthBytes` says. VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_RANGE */
  async create(wish: TokenWish, { isProtected }: Channel): Promise<MadeTokens> {
    const room = this.#tokenRoom();
    const { sizeBytes } = this.#exports.show(wish.source);
    const offsetBytes = wish.offsetBytes ?? 0;
    const lengthBytes = wish.lengthBytes ?? sizeBytes - offsetBytes;
    if (lengthBytes <= 0 || offsetBytes + lengthBytes > sizeBytes)
      throw new RopewalkError(
        "INVALID_RANGE",
        `There is no data at ${offsetBytes} of ${lengthBytes} bytes: ${wish.source} ends at ${sizeBytes}.`,
      );
    await using opened = openDevice(this.#exports, wish.source);
    const isHash = wish.kind === "hash";
    const offload = offloadOf(opened.device);
    const request: NotedReadRequest = {
      ranges: [{ offsetBytes, lengthBytes }],
      policy: wish.policy ?? (isHash ? "invalidate" : "preserve"),
      ttlMs: wish.ttlMs ?? room.settings.ttlMs,
      inactivityMs: wish.inactivityMs ?? (isHash ? 0 : room.settings.inactivityMs),
      persistent: wish.persistent ?? false,
      deleteOnUse: wish.deleteOnUse ?? false,
      priority: wish.priority ?? 0,
      provider: wish.provider ?? room.chooseProvider(offload.providers, wish.choose),
      withChecksums: wish.withChecksums ?? false,
      kind: isHash ? "hash" : "pin",
      creator: CREATOR,
      isProtected,
      usage: wish.usage,
      placement: wish.placement,
    };
    const joiner = wish.single === true ? room.joiner : undefined;
    const read = await offload.read({ ...request, joiner });
    const tokens = joiner === undefined ? read.tokens : firstOf(read.tokens, joiner);
    const boundBytes = joiner === undefined ? read.lengthBytes : (tokens[0]?.lengthBytes ?? 0);
    if (tokens.length > TOKENS_IN_FILE_MAX) {
      await Promise.all(tokens.map(({ token }) => room.revoke(token, { strength: "hint" })));
      throw new RopewalkError("TOO_MANY", `The range takes ${tokens.length} tokens; ask for a shorter one.`);
    }
    return { file: encodeTokenFile(tokens), tokens, lengthBytes: boundBytes };
  }

  /** Undefined where there is no token room. */
  counts(): ControlledTokens["counters"] | undefined {
    return this.#room?.counters;
  }

  list(): TokenInfo[] {
    return this.#tokenRoom().list();
  }

  /** Tells where tokens' sources are served now; for one answer, as it remembers what it has found. */
  routes(): (token: Pick<TokenInfo, "provider" | "source">) => readonly string[] {
    const templates = this.#tokenRoom().settings.routes;
    const known = new Map<string, readonly string[]>();
    return (token) => {
      const key = `${token.provider}\n${token.source}`;
      let routes = known.get(key);
      if (routes === undefined)
        known.set(key, (routes = this.#isServed(token) ? routesTo(templates, token) : []));
      return routes;
    };
  }

  /** What was deleted is not, nor what has no name of its own. */
  #isServed({ source }: Pick<TokenInfo, "source">): boolean {
    try {
      return this.#exports.show(source).sizeBytes >= 0;
    } catch (error) {
      if (error instanceof RopewalkError) return false;
      throw error;
    }
  }

  /** TOKEN_UNKNOWN; of an ended token, that it is. */
  show(tokens: readonly TokenPiece[], channel: Channel): ShownToken[] {
    const room = this.#tokenRoom();
    const routesOf = this.routes();
    return tokens.map(({ token, dataOffsetBytes, role }) => {
      const info = room.show(token, channel);
      return { ...info, dataOffsetBytes, role, routes: routesOf(info) };
    });
  }

  /** The data's bytes, cut where the tokens end; `lengthBytes` says how many will come. INVALID_ARGUMENT */
  read(
    pieces: readonly TokenPiece[],
    range: TokenRange,
    channel: Channel,
  ): { lengthBytes: number; bytes: AsyncGenerator<Uint8Array> } {
    const room = this.#tokenRoom();
    const tokens = this.#placed(pieces, channel);
    const { offsetBytes = 0 } = range;
    const heldBytes = dataLengthFrom(tokens, offsetBytes);
    if (range.lengthBytes === undefined && isEndless(tokens))
      throw new RopewalkError("INVALID_ARGUMENT", "The zero token has no end; say how much to read.");
    const lengthBytes = Math.min(heldBytes, range.lengthBytes ?? heldBytes);
    return { lengthBytes, bytes: readPieces({ room, tokens, offsetBytes, lengthBytes, channel }) };
  }

  /**
   * Writes all of it, piece by piece, or fails and says how much was written; that stays.
   * VOLUME_NOT_FOUND, NO_SPACE, READ_ONLY, CANCELLED, INVALID_RANGE
   */
  async write(
    wish: TokenWriteWish,
    { isProtected }: Channel,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<WrittenTokens> {
    const startedMs = this.#clock.nowMs();
    const tokens = this.#placed(wish.tokens, { isProtected });
    await using opened = openDevice(this.#exports, checkName("volume", wish.volume));
    const { device } = opened;
    const pieces = placedPieces(wish.pieces ?? [{}], { tokens, volumeBytes: device.sizeBytes });
    const last = lastPieces(tokens, pieces);
    const askedBytes = pieces.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const written: WrittenPiece[] = [];
    let [bytes, bytesMoved] = [0, 0];
    try {
      for (const [index, piece] of pieces.entries()) {
        await writeThroughTokens(offloadOf(device), {
          tokens,
          ...piece,
          isProtected,
          steps: "whole",
          signal,
          isWantedLater: (token) => last.get(token)! > index,
          onWritten: (more, moved) => {
            bytes += more;
            bytesMoved += moved;
          },
        });
        const { fromBytes, toBytes, lengthBytes } = piece;
        written.push({ tokenOffsetBytes: fromBytes, offsetBytes: toBytes, bytes: lengthBytes });
      }
      await flushDevice(device);
    } catch (error) {
      const failure = partialFailure(error, { done: bytes, of: askedBytes, verb: "written" });
      throw pieces.length === 1 ? failure : failureAt(failure, { pieces, written, bytes });
    }
    return { bytes, bytesMoved, elapsedMs: this.#clock.nowMs() - startedMs, pieces: written };
  }

  /** Ends all of them, also when some are unknown. */
  async revoke(tokens: readonly TokenPiece[], options: { strength: "mandatory" | "hint" }): Promise<void> {
    const room = this.#tokenRoom();
    const ends = await Promise.allSettled(tokens.map(async ({ token }) => room.revoke(token, options)));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** Ends a token whose file nobody has, by the id that the list shows. NOT_FOUND */
  async revokeId(id: string, options: { strength: "mandatory" | "hint" }): Promise<void> {
    await this.#tokenRoom().revokeId(id, options);
  }

  /** A plain token says itself, through the room, how long its data is. */
  #placed(pieces: readonly TokenPiece[], channel: Channel): PlacedToken[] {
    const room = this.#tokenRoom();
    return pieces.map((piece) => {
      if (piece.lengthBytes !== undefined) return { ...piece, lengthBytes: piece.lengthBytes };
      const { kind, lengthBytes } = room.show(piece.token, channel);
      return { ...piece, lengthBytes: kind === "zero" ? ZERO_TOKEN_LENGTH_BYTES : lengthBytes };
    });
  }

  #tokenRoom(): ControlledTokens {
    if (this.#room) return this.#room;
    throw new RopewalkError("UNSUPPORTED", "This daemon keeps no tokens.");
  }
}

/** The first primary and its companion, which stands behind it; the other alternatives are given up. */
function firstOf(tokens: readonly OffloadToken[], joiner: TokenJoiner): readonly OffloadToken[] {
  const next = tokens.findIndex(({ role }, index) => index > 0 && role === "primary");
  if (next < 0) return tokens;
  joiner.discard(tokens.slice(next).flatMap(({ role, token }) => (role === "primary" ? [token] : [])));
  return tokens.slice(0, next);
}

/** Says which piece was not finished, and how far it came; those before it are whole, those behind it were not begun. */
function failureAt(
  failure: RopewalkError,
  {
    pieces,
    written,
    bytes,
  }: { pieces: readonly PlacedPiece[]; written: readonly WrittenPiece[]; bytes: number },
): RopewalkError {
  const { code, message } = failure;
  const unfinished = pieces[written.length];
  if (unfinished === undefined) return failure;
  const before = written.reduce((sum, piece) => sum + piece.bytes, 0);
  const sentence = `Piece ${written.length + 1} of ${pieces.length} came to ${bytes - before} of ${unfinished.lengthBytes} bytes.`;
  return new RopewalkError(code, `${message} ${sentence}`, { cause: failure.cause });
}

async function* readPieces(options: {
  room: TokenService;
  tokens: readonly PlacedToken[];
  offsetBytes: number;
  lengthBytes: number;
  channel: Channel;
}): AsyncGenerator<Uint8Array> {
  const { room, tokens, offsetBytes, lengthBytes, channel } = options;
  for (let done = 0; done < lengthBytes; ) {
    const piece = await readPiece({
      room,
      tokens,
      atBytes: offsetBytes + done,
      lengthMax: lengthBytes - done,
      channel,
    });
    done += piece.length;
    yield piece;
  }
}

/** The next bytes, from the first token that gives them. */
async function readPiece(options: {
  room: TokenService;
  tokens: readonly PlacedToken[];
  atBytes: number;
  lengthMax: number;
  channel: Channel;
}): Promise<Uint8Array> {
  const { room, tokens, atBytes, lengthMax, channel } = options;
  let failure: unknown;
  for (const run of runsAt(tokens, atBytes))
    for (const token of run.alternatives) {
      const target = new Uint8Array(Math.min(READ_PIECE_BYTES, run.lengthBytes, lengthMax));
      try {
        const length = await room.read(token, run.tokenOffsetBytes, target, channel);
        if (length > 0) return target.subarray(0, length);
      } catch (error) {
        failure ??= error;
      }
    }
  throw failure ?? new RopewalkError("TOKEN_CUT", `No token gives the data at ${atBytes}.`);
}

function isEndless(tokens: readonly PlacedToken[]): boolean {
  return tokens.some(({ lengthBytes }) => lengthBytes === ZERO_TOKEN_LENGTH_BYTES);
}
