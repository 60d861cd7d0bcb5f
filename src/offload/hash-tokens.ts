/**
 * Tokens that are made of hashes of their blocks (T23): the source is found by the token's locator and read as it is when
 * the use begins. A block whose hash is another there is looked for by its hash: in the other maps of the same volume,
 * where a block of that hash was last seen, and then in all of the pool's volumes; when it is nowhere, the use ends before
 * anything of it is written.
 *
 * Always holds: what was compared is what is used, as a use has frozen maps of its own; nothing is kept for a token.
 * Errors: TOKEN_EXPIRED, TOKEN_DELETED (the source is gone), TOKEN_CANCELLED (it changed), INVALID_RANGE.
 */
import { Deferred } from "../base/deferred.ts";
import type { RopewalkError } from "../base/errors.ts";
import type { ByteRange } from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import { HashSearch, type MissingBlock } from "./hash-search.ts";
import { KnownPlaces } from "./known-places.ts";
import { PatchedContent } from "./patched-content.ts";
import type { TokenBacking } from "./token-backing.ts";
import type { TokenFields } from "./token-bytes.ts";
import type { TokenLedger } from "./token-ledger.ts";
import type { TokenOrigins } from "./token-origins.ts";
import { HASHED_BYTES_MAX, type HashPayload, hashedBlockBytes } from "./token-payload.ts";
import { TokenRanges } from "./token-ranges.ts";
import type { TokenInfo } from "./token-service.ts";
import { hashToken, type TokenUse } from "./token-use.ts";

/** Maps of the source's volume in which a block is looked for. */
const RELATIVES_MAX = 16;

type HashFields = TokenFields & { readonly payload: HashPayload };

export class HashTokens {
  readonly #clock: Clock;
  readonly #ledger: TokenLedger;
  readonly #origins: TokenOrigins;
  readonly #stopped: () => RopewalkError | undefined;
  readonly #running = new Set<Deferred>();
  readonly #places = new KnownPlaces();
  readonly #search: HashSearch;

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
    this.#search = new HashSearch({
      clock: options.clock,
      origins: options.origins,
      places: this.#places,
      bytesMax: options.ledger.settings.hashSearchBytes,
    });
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
      const { offsetBytes } = ranges.ranges[0]!;
      const { locator } = source;
      for (const block of blocksOf({ offsetBytes: 0, lengthBytes: ranges.lengthBytes }, ranges, blockBytes)) {
        const hash = await this.#hash(data, block);
        hashes.push(hash);
        this.#places.seen(hash, { locator, offsetBytes: offsetBytes + block.offsetBytes });
      }
      return { payload: { kind: "hash", locator, offsetBytes, blockBytes, hashes }, ranges };
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

  /** For a volume of the pool or for whoever else. TOKEN_EXPIRED, TOKEN_DELETED, TOKEN_CANCELLED */
  async begin(fields: HashFields, destination: string | undefined): Promise<TokenUse> {
    const ledger = this.#ledger;
    const { payload, lengthBytes } = fields;
    if (ledger.nowMs() >= fields.expiresAtMs)
      throw ledger.refuse("TOKEN_EXPIRED", "The token's time is over.");
    const live = this.#origins.liveAt(payload.locator);
    ledger.counters.used += 1;
    const finished = new Deferred();
    this.#running.add(finished);
    const ranges = new TokenRanges([{ offsetBytes: payload.offsetBytes, lengthBytes }]);
    let content: PatchedContent | undefined;
    const finish = async () => {
      content?.close();
      this.#running.delete(finished);
      finished.resolve();
    };
    try {
      content = new PatchedContent(await live?.open(ranges.ranges));
      const data = { ranges, content };
      return {
        ...data,
        verify: async (part, goOn) => {
          const missing: MissingBlock[] = [];
          for (const block of blocksOf(part, ranges, payload.blockBytes)) {
            const hash = payload.hashes[block.offsetBytes / payload.blockBytes]!;
            const at = payload.offsetBytes + block.offsetBytes;
            const isInside = at + block.lengthBytes <= data.content.sizeBytes;
            if (isInside && Buffer.compare(await this.#hash(data, block, goOn), hash) === 0) continue;
            const { lengthBytes } = block;
            if (await this.#findElsewhere(data.content, { payload, hash, at, lengthBytes, goOn })) continue;
            missing.push({ hash, offsetBytes: at, lengthBytes });
            if (this.#search.isOff) break;
          }
          if (missing.length === 0) return;
          const { blockBytes } = payload;
          const request = { missing, blockBytes, destination, content: data.content, goOn };
          const [lost] = this.#search.isOff ? missing : await this.#search.find(request);
          if (lost !== undefined) throw this.#lost(live, lost);
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

  /** Patches a block in that is not at its source any more; false when it is nowhere. */
  async #findElsewhere(
    content: PatchedContent,
    lost: { payload: HashPayload; hash: Uint8Array; at: number; lengthBytes: number; goOn: () => void },
  ): Promise<boolean> {
    const { hash, at, lengthBytes, goOn } = lost;
    for (const { backing, fromBytes } of this.#candidates(lost)) {
      const range = { offsetBytes: fromBytes, lengthBytes };
      // It may be deleted in this moment.
      const found = await backing.open([range]).catch(() => undefined);
      if (found === undefined) continue;
      let isTaken = false;
      try {
        if (fromBytes + lengthBytes > found.sizeBytes) continue;
        const data = { ranges: new TokenRanges([range]), content: found };
        const whole = { offsetBytes: 0, lengthBytes };
        isTaken = Buffer.compare(await this.#hash(data, whole, goOn), hash) === 0;
      } finally {
        if (isTaken) content.patch({ offsetBytes: at, lengthBytes, content: found, fromBytes });
        else found.close();
      }
      if (isTaken) return true;
    }
    return false;
  }

  *#candidates({
    payload,
    hash,
    at,
  }: {
    payload: HashPayload;
    hash: Uint8Array;
    at: number;
  }): Generator<{ backing: TokenBacking; fromBytes: number }> {
    const place = this.#places.find(hash);
    const seen = place && this.#origins.liveAt(place.locator);
    if (seen !== undefined) yield { backing: seen, fromBytes: place!.offsetBytes };
    for (const backing of this.#origins.relativesOf(payload.locator, RELATIVES_MAX))
      yield { backing, fromBytes: at };
  }

  #lost(live: TokenBacking | undefined, { offsetBytes: at, lengthBytes }: MissingBlock) {
    if (live === undefined)
      return this.#ledger.refuse("TOKEN_DELETED", "What the hash token was made of is gone or not open.");
    const source = live.origin.description;
    return this.#ledger.refuse(
      "TOKEN_CANCELLED",
      `${source} changed since the hash token was made: the block of ${lengthBytes} bytes at ${at} differs; ask for a new token or copy plainly.`,
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
