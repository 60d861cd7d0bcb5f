/**
 * Tokens that are made of hashes of their blocks (T23): the source is found by the token's locator and read as it is when
 * the use begins, and a block whose hash is another ends the use before anything of it is written.
 *
 * Always holds: what was compared is what is used, as a use has a frozen map of its own; nothing is kept between uses.
 * Errors: TOKEN_EXPIRED, TOKEN_DELETED (the source is gone), TOKEN_CANCELLED (it changed), INVALID_RANGE.
 */
import { Deferred } from "../base/deferred.ts";
import type { RopewalkError } from "../base/errors.ts";
import type { ByteRange } from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import type { TokenBacking, TokenContent } from "./token-backing.ts";
import type { TokenFields } from "./token-bytes.ts";
import type { TokenLedger } from "./token-ledger.ts";
import type { TokenOrigins } from "./token-origins.ts";
import { HASHED_BYTES_MAX, type HashPayload, hashedBlockBytes } from "./token-payload.ts";
import { TokenRanges } from "./token-ranges.ts";
import type { TokenInfo } from "./token-service.ts";
import { hashToken, type TokenUse } from "./token-use.ts";

type HashFields = TokenFields & { readonly payload: HashPayload };

export class HashTokens {
  readonly #clock: Clock;
  readonly #ledger: TokenLedger;
  readonly #origins: TokenOrigins;
  readonly #stopped: () => RopewalkError | undefined;
  readonly #running = new Set<Deferred>();

  constructor(options: {
    clock: Clock;
    ledger: TokenLedger;
    origins: TokenOrigins;
    /** What every use must stop for. */
    stopped: () => RopewalkError | undefined;
  }) {
    this.#clock = options.clock;
    this.#ledger = options.ledger;
    this.#origins = options.origins;
    this.#stopped = options.stopped;
  }

  /** The hashes of the first range, as far as they fit a token. INVALID_RANGE */
  hash(
    source: { live: TokenBacking; locator: Uint8Array },
    asked: TokenRanges,
  ): Promise<{ payload: HashPayload; ranges: TokenRanges }> {
    const ranges = new TokenRanges(asked.ranges.slice(0, 1)).first(HASHED_BYTES_MAX);
    return this.#reading(source.live, ranges, async (data) => {
      if (!ranges.isInside(data.content.sizeBytes))
        throw this.#ledger.refuse("INVALID_RANGE", "The range ends past the end of what is to be hashed.");
      const blockBytes = hashedBlockBytes(ranges.lengthBytes);
      const hashes: Uint8Array[] = [];
      for (const block of blocksOf({ offsetBytes: 0, lengthBytes: ranges.lengthBytes }, ranges, blockBytes))
        hashes.push(await this.#hash(data, block));
      const { offsetBytes } = ranges.ranges[0]!;
      return { payload: { kind: "hash", locator: source.locator, offsetBytes, blockBytes, hashes }, ranges };
    });
  }

  /** Of all the data, for a companion. SHUTTING_DOWN */
  checksum(backing: TokenBacking, ranges: TokenRanges): Promise<Uint8Array> {
    const all = { offsetBytes: 0, lengthBytes: ranges.lengthBytes };
    return this.#reading(backing, ranges, (data) => this.#hash(data, all));
  }

  async #reading<Result>(
    backing: TokenBacking,
    ranges: TokenRanges,
    act: (data: Pick<TokenUse, "ranges" | "content">) => Promise<Result>,
  ): Promise<Result> {
    const finished = new Deferred();
    this.#running.add(finished);
    try {
      const content = await backing.open(ranges.ranges);
      try {
        return await act({ ranges, content });
      } finally {
        content.close();
      }
    } finally {
      this.#running.delete(finished);
      finished.resolve();
    }
  }

  /** TOKEN_EXPIRED, TOKEN_DELETED, TOKEN_CANCELLED */
  async begin(fields: HashFields): Promise<TokenUse> {
    const ledger = this.#ledger;
    const { payload, lengthBytes } = fields;
    if (ledger.nowMs() >= fields.expiresAtMs)
      throw ledger.refuse("TOKEN_EXPIRED", "The token's time is over.");
    const live = this.#origins.liveAt(payload.locator);
    if (live === undefined)
      throw ledger.refuse("TOKEN_DELETED", "What the hash token was made of is gone or not open.");
    ledger.counters.used += 1;
    const finished = new Deferred();
    this.#running.add(finished);
    const ranges = new TokenRanges([{ offsetBytes: payload.offsetBytes, lengthBytes }]);
    let content: TokenContent | undefined;
    const finish = async () => {
      content?.close();
      this.#running.delete(finished);
      finished.resolve();
    };
    try {
      content = await live.open(ranges.ranges);
      if (!ranges.isInside(content.sizeBytes)) throw this.#changed(live, "it is shorter now");
      const data = { ranges, content };
      return {
        ...data,
        verify: async (part, goOn) => {
          for (const block of blocksOf(part, ranges, payload.blockBytes)) {
            const hash = payload.hashes[block.offsetBytes / payload.blockBytes]!;
            if (Buffer.compare(await this.#hash(data, block, goOn), hash) === 0) continue;
            const at = payload.offsetBytes + block.offsetBytes;
            throw this.#changed(live, `the block of ${block.lengthBytes} bytes at ${at} differs`);
          }
        },
        stopped: this.#stopped,
        finish,
      };
    } catch (error) {
      await finish();
      throw error;
    }
  }

  info(fields: HashFields): TokenInfo {
    const place = this.#origins.placeAt(fields.payload.locator);
    const isExpired = this.#ledger.nowMs() >= fields.expiresAtMs;
    return {
      ...unstoredInfo(fields, isExpired),
      ...(place === undefined && !isExpired && { state: "deleted" }),
      provider: place?.provider ?? "",
      source: place?.description ?? "",
    };
  }

  allFinished(): Promise<unknown> {
    return Promise.all([...this.#running].map(({ promise }) => promise));
  }

  #hash(
    data: Pick<TokenUse, "ranges" | "content">,
    block: ByteRange,
    goOn: () => void = () => this.#goOn(),
  ): Promise<Uint8Array> {
    return hashToken(data, block, { clock: this.#clock, goOn });
  }

  #goOn(): void {
    const stopped = this.#stopped();
    if (stopped !== undefined) throw stopped;
  }

  #changed(live: TokenBacking, how: string): RopewalkError {
    const source = live.origin.description;
    return this.#ledger.refuse(
      "TOKEN_CANCELLED",
      `${source} changed since the hash token was made: ${how}; ask for a new token or copy plainly.`,
    );
  }
}

/** What can be said of a token for which nothing is stored. */
export function unstoredInfo(
  fields: TokenFields,
  isExpired: boolean,
): Omit<TokenInfo, "provider" | "source"> {
  const { id, lengthBytes, policy, persistent, deleteOnUse, createdAtMs, expiresAtMs } = fields;
  return {
    id: Buffer.from(id).toString("hex"),
    state: isExpired ? "expired" : "valid",
    kind: "hash",
    ...{ lengthBytes, policy, persistent, deleteOnUse, createdAtMs, expiresAtMs },
    priority: 0,
    inactivityMs: 0,
    uses: 0,
    usedAtMs: 0,
    creator: "",
  };
}

/** The whole blocks that a part of the token's data touches, by their places in that data. */
function* blocksOf(part: ByteRange, { lengthBytes }: TokenRanges, blockBytes: number): Generator<ByteRange> {
  const end = part.offsetBytes + part.lengthBytes;
  for (let at = part.offsetBytes - (part.offsetBytes % blockBytes); at < end; at += blockBytes)
    yield { offsetBytes: at, lengthBytes: Math.min(blockBytes, lengthBytes - at) };
}
