/**
 * What clients do with tokens: have them made, read and write through them, end them, and try forged ones.
 *
 * Always holds: a token's data is that of one moment between the request for it and the answer (`token-content`); a
 * token write that was acknowledged wrote what it says, and all of it where nothing was in its way (`token-length`).
 */
import type { ErrorCode } from "../src/base/errors.ts";
import type { BlockDevice, ByteRange } from "../src/device/mod.ts";
import { TOKEN_BYTES, type TokenRoom } from "../src/offload/mod.ts";
import { CheckFailed, check } from "./check-failed.ts";
import type { DataRequests } from "./data-requests.ts";
import type { Life } from "./machine.ts";
import type { ObservedTokenPool } from "./observed-token-pool.ts";
import type { TokenBook } from "./token-book.ts";
import { TokenContent } from "./token-content.ts";
import { TokenModel, type TokenRequestFacts, type TokenSource } from "./token-model.ts";
import { type Channel, checkUnknown, SourceWatch, TokenUse } from "./token-use.ts";
import { TokenWrite, type TokenWriteSource } from "./token-write.ts";
import type { VolumeAccess } from "./volume-access.ts";

/** What is behind the bytes that a read may fill. */
const untouched = 0xee;
/** Where a token's bytes say when it was made and until when it lives (docs/formats/token.md). */
const createdAt = 192;
const expiresAt = 200;
/** Persistent tokens of so many ranges may stand for fewer. */
const labelRangesMax = 16;

export interface TokenParts {
  readonly life: Life;
  readonly book: TokenBook;
  readonly room: TokenRoom;
  readonly pool: ObservedTokenPool;
  readonly access: VolumeAccess;
  readonly data: DataRequests;
}

export interface TokenWriteRequest {
  readonly tokens: readonly (TokenModel | "zeros" | Uint8Array)[];
  readonly tokenOffset: number;
  readonly volume: number;
  readonly ranges: readonly ByteRange[];
  readonly fua: boolean;
  readonly channel: Channel;
}

export class TokenRequests {
  readonly #parts: TokenParts;

  constructor(parts: TokenParts) {
    this.#parts = parts;
  }

  /** A new token of what a device of the room stands for. */
  async make(
    device: BlockDevice,
    source: TokenSource,
    asked: { facts: TokenRequestFacts; ranges: readonly ByteRange[]; priority: number },
  ): Promise<void> {
    const { life, book } = this.#parts;
    const { facts, priority } = asked;
    const token = new TokenModel(facts, source, asked.ranges);
    book.add(token);
    const watch = new SourceWatch(life, source);
    const fromMs = book.nowMs;
    try {
      const { tokens, lengthBytes } = await life.answer(
        device.offload!.read({
          ...facts,
          ranges: asked.ranges,
          priority,
          provider: { skip: 0 },
          withChecksums: false,
        }),
        "a token read",
      );
      if (token.lengthBytes === 0) {
        check(tokens.length === 0 && lengthBytes === 0, "token-length", () => "a token of nothing");
        book.remove(token);
        return;
      }
      const [given] = tokens;
      check(
        tokens.length === 1 && given!.lengthBytes === lengthBytes && given!.dataOffsetBytes === 0,
        "token-length",
        () => `${tokens.length} tokens for ${lengthBytes} bytes`,
      );
      token.ranges = this.#bound(token, lengthBytes);
      token.bytes = given!.token;
      token.content = new TokenContent(life.machine.content, token.ranges, watch.maps);
      token.usedFromMs = fromMs;
      token.usedToMs = book.nowMs;
      token.expiresAtMs = timeAt(given!.token, expiresAt);
      book.handedOut(token);
      this.#checkMade(token, fromMs);
    } catch (error) {
      book.remove(token);
      const tight: ErrorCode[] = book.isTight ? ["TOO_MANY"] : [];
      life.expectError(error, "a token read", [...tight, "NO_SPACE"]);
    } finally {
      watch.stop();
    }
  }

  /** The ranges for which a token stands; only a persistent one of many ranges may leave the last ones out. */
  #bound({ ranges, facts, lengthBytes: asked }: TokenModel, lengthBytes: number): readonly ByteRange[] {
    if (lengthBytes === asked) return ranges;
    const kept: ByteRange[] = [];
    let length = 0;
    for (const range of ranges) {
      if (length === lengthBytes) break;
      kept.push(range);
      length += range.lengthBytes;
    }
    const may =
      facts.persistent && ranges.length > labelRangesMax && lengthBytes > 0 && length === lengthBytes;
    check(may, "token-length", () => `${lengthBytes} bytes instead of ${asked} from ${ranges.length} ranges`);
    return kept;
  }

  #checkMade(token: TokenModel, fromMs: number): void {
    const { facts, lengthBytes, bytes } = token;
    const { room, book } = this.#parts;
    const madeAtMs = timeAt(bytes!, createdAt);
    const isInTime = madeAtMs >= fromMs - 3 && madeAtMs <= book.nowMs + 3;
    check(
      isInTime && token.expiresAtMs === madeAtMs + facts.ttlMs,
      "token-facts",
      () => `${token.name} was made at ${madeAtMs} and lives until ${token.expiresAtMs}`,
    );
    // One that ended before it was handed out is not listed.
    const info = room.list().find(({ id }) => id === token.id);
    if (info === undefined) {
      this.show(token);
      return;
    }
    const isAsAsked =
      info.lengthBytes === lengthBytes &&
      info.policy === facts.policy &&
      info.persistent === facts.persistent &&
      info.deleteOnUse === facts.deleteOnUse &&
      info.creator === facts.creator &&
      info.createdAtMs === madeAtMs &&
      info.expiresAtMs === token.expiresAtMs;
    check(isAsAsked, "token-facts", () => `${token.name} is ${JSON.stringify(info)}`);
  }

  /** Reads through a token; never a byte from past its end. */
  async read(token: TokenModel, place: { offset: number; length: number }, channel: Channel): Promise<void> {
    const { life, book, room } = this.#parts;
    const { offset, length } = place;
    const target = new Uint8Array(length).fill(untouched);
    const use = new TokenUse(life, book, token, channel);
    let inside: number;
    try {
      inside = await life.answer(room.read(token.bytes!, offset, target, channel), "a read through a token");
    } catch (error) {
      use.refused(error, `read at ${offset}+${length}`);
      return;
    }
    const expected = Math.max(0, Math.min(length, token.lengthBytes - offset));
    check(
      inside === expected,
      "token-end",
      () => `${inside} of ${length} bytes at ${offset} of ${token.name}`,
    );
    check(
      target.subarray(inside).every((byte) => byte === 0),
      "token-end",
      () => `bytes past the end of ${token.name} at ${offset}+${length}`,
    );
    use.succeeded();
    check(
      inside === 0 || use.content.holdsBytes(offset, target.subarray(0, inside)),
      "token-content",
      () => `${token.name} reads at ${offset}+${inside} what it does not stand for`,
    );
  }

  async write(request: TokenWriteRequest): Promise<void> {
    const { life, book, room, pool, data, access } = this.#parts;
    const { volume, ranges, tokenOffset, fua, channel } = request;
    const uses = request.tokens.map((token) =>
      token instanceof TokenModel ? new TokenUse(life, book, token, channel, "write") : token,
    );
    const sources = uses.filter((use): use is TokenUse | "zeros" => !(use instanceof Uint8Array));
    const write = new TokenWrite(life, { book, data, volume, ranges, tokenOffset, sources });
    const { name } = life.machine.history.current.volume(volume);
    access.acquire(volume);
    const device = room.overPool({ volume: name }, write.over(life.pool.openVolume(name)));
    pool.writes.add(write);
    let error: unknown;
    try {
      const result = await life.answer(
        device.offload!.write({
          tokens: request.tokens.map((token) =>
            token === "zeros" ? room.zeroToken : token instanceof TokenModel ? token.bytes! : token,
          ),
          tokenOffsetBytes: tokenOffset,
          ranges,
          fua,
          isProtected: channel.isProtected,
        }),
        "a token write",
      );
      const { lengthBytes, movedBytes } = result;
      check(
        lengthBytes === write.done && movedBytes === write.movedBytes,
        "token-length",
        () =>
          `a token write says ${lengthBytes}, ${movedBytes} moved; it wrote ${write.done}, ${write.movedBytes}`,
      );
      if (fua) life.machine.history.promiseDurable(write.lastSequence);
    } catch (caught) {
      if (caught instanceof CheckFailed) throw caught;
      error = caught;
      check(
        write.done === 0,
        "token-length",
        () => `a token write failed behind ${write.done} bytes: ${caught}`,
      );
    }
    pool.writes.delete(write);
    this.#judge(request, uses, write, error);
    await life.answer(device.close(), "close");
    access.release(volume);
  }

  /** Whether a token write did as much as it must, and no more than it may. */
  #judge(
    request: TokenWriteRequest,
    uses: readonly (TokenUse | TokenWriteSource | Uint8Array)[],
    write: TokenWrite,
    error: unknown,
  ): void {
    const { book, life } = this.#parts;
    const asked = request.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const limitOf = (use: TokenUse) =>
      Math.max(0, Math.min(asked, use.token.lengthBytes - request.tokenOffset));
    let least = -1;
    let most = -1;
    const codes = new Set<ErrorCode>(["NO_SPACE"]);
    for (const use of uses) {
      if (use === "zeros") {
        least = asked;
        most = asked;
      } else if (use instanceof TokenUse) {
        use.stopped();
        const limit = limitOf(use);
        const mayBeRefused = use.mayBeRefused();
        if (use.mustBeRefused()) {
          for (const code of mayBeRefused) codes.add(code);
          continue;
        }
        if (limit === 0 && asked > 0) codes.add("TOKEN_CUT");
        else most = Math.max(most, limit);
        if (mayBeRefused.size > 0) for (const code of mayBeRefused) codes.add(code);
        else if (limit > 0 || asked === 0) least = Math.max(least, limit);
      } else codes.add("TOKEN_UNKNOWN");
    }
    const first = uses.find((use): use is TokenUse => use instanceof TokenUse);
    const name = `token write of ${asked} bytes by ${first?.token.name ?? "no token of ours"}`;
    if (error === undefined) {
      check(
        most >= write.done,
        "token-ended",
        () => `${name} wrote ${write.done}, at most ${most} were there`,
      );
      const isShort = write.done < least && !write.failed;
      check(!isShort, "token-length", () => `${name} wrote ${write.done} of ${least}`);
    } else {
      check(
        least < 0 || write.failed,
        "token-refused",
        () => `${name} failed: ${String(error)}; expected ${least} bytes`,
      );
      const code = life.expectError(error, name, [...codes]);
      if (code === "TOKEN_UNKNOWN") checkUnknown(book, error);
    }
    if (first === undefined || uses.length > 1 || error !== undefined) return;
    first.wasTaken();
    // A token of one use is over when the write did all that was asked.
    if (!first.token.facts.deleteOnUse || write.done < asked) return;
    first.token.end("TOKEN_DELETED");
    first.token.isOverForGood = true;
  }

  async revoke(token: TokenModel, strength: "mandatory" | "hint"): Promise<void> {
    const { life, book, room } = this.#parts;
    const couldBeUnknown = token.codes.has("TOKEN_UNKNOWN") || book.isForgetful || book.isTight;
    if (strength === "mandatory") token.codes.add("TOKEN_REVOKED");
    try {
      await life.answer(room.revoke(token.bytes!, { strength }), "a revocation");
      if (strength === "hint") return;
      token.end("TOKEN_REVOKED");
      token.isOverForGood = true;
    } catch (error) {
      const code = life.expectError(error, `revoke of ${token.name}`, [
        ...(couldBeUnknown ? (["TOKEN_UNKNOWN"] as const) : []),
        ...(token.mayTimeBeOver(book.nowMs) ? (["TOKEN_EXPIRED"] as const) : []),
      ]);
      if (code === "TOKEN_UNKNOWN") checkUnknown(book, error);
      token.end(code);
    }
  }

  /** What the room tells of a token agrees with what must be. */
  show(token: TokenModel): void {
    const { life, book, room } = this.#parts;
    const channel = { isProtected: true };
    const use = new TokenUse(life, book, token, channel);
    try {
      const { state, lengthBytes } = room.show(token.bytes!, channel);
      use.stopped();
      check(
        lengthBytes === token.lengthBytes,
        "token-facts",
        () => `${token.name} shows ${lengthBytes} bytes`,
      );
      const code = `TOKEN_${state.toUpperCase()}` as ErrorCode;
      const isRight = state === "valid" ? !use.wasOver : use.mayBeRefused().has(code);
      check(isRight, "token-facts", () => `${token.name} shows ${state}`);
    } catch (error) {
      if (error instanceof CheckFailed) throw error;
      use.refused(error, "show");
    }
  }

  /** Whatever is wrong with its bytes, a token that the room did not make is unknown. */
  async forge(bytes: Uint8Array, way: "read" | "show" | "revoke"): Promise<void> {
    const { life, book, room } = this.#parts;
    const channel = { isProtected: true };
    try {
      await life.answer(
        (async () => {
          if (way === "read") await room.read(bytes, 0, new Uint8Array(16), channel);
          else if (way === "show") room.show(bytes, channel);
          else await room.revoke(bytes, { strength: "mandatory" });
        })(),
        "a forged token",
      );
    } catch (error) {
      life.expectError(error, `${way} of a forged token`, ["TOKEN_UNKNOWN"]);
      checkUnknown(book, error);
      return;
    }
    throw new CheckFailed("token-unknown", `a forged token was taken (${way})`);
  }

  /** Bytes that are almost a token, or not at all. */
  forged(token: TokenModel | undefined): Uint8Array {
    const { random } = this.#parts.life.machine;
    const bytes =
      (random.chance(0.2) ? undefined : token?.bytes)?.slice() ?? this.#parts.room.zeroToken.slice();
    const way = random.weighted({ bit: 6, random: 1, short: 1, long: 1, mixed: 1 });
    if (way === "random") return random.bytes(TOKEN_BYTES);
    if (way === "short") return bytes.subarray(0, TOKEN_BYTES - 1);
    if (way === "long") return new Uint8Array([...bytes, 0]);
    if (way === "mixed") bytes.set(random.bytes(32), 480);
    else bytes[random.between(0, TOKEN_BYTES - 1)]! ^= 1 << random.between(0, 7);
    return bytes;
  }
}

function timeAt(token: Uint8Array, offset: number): number {
  return Number(new DataView(token.buffer, token.byteOffset).getBigUint64(offset));
}
