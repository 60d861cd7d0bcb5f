/**
 * The last resort for blocks of a hash token that are nowhere else: reads the pool's volumes for them, the destination
 * first, at the token's block grid (T23).
 *
 * Always holds: one search runs at a time, for all missing blocks of a use; it reads no more than its limit, holes not
 * at all, and hashes at most `WINDOW_BYTES` in a turn of the loop; what it found is frozen and was compared.
 * Errors: what `goOn` throws. A volume, or a place in it, that cannot be read has nothing.
 */
import { createHash } from "node:crypto";
import type { Extent } from "../device/mod.ts";
import { type Clock, nextTurn, sleep } from "../ports/mod.ts";
import type { KnownPlaces } from "./known-places.ts";
import type { PatchedContent } from "./patched-content.ts";
import type { TokenContent } from "./token-backing.ts";
import type { TokenOrigins } from "./token-origins.ts";
import { TokenRanges } from "./token-ranges.ts";
import { hashToken } from "./token-use.ts";

/** About a millisecond of hashing. */
const WINDOW_BYTES = 512 * 1024;
const EXTENTS_MAX = 64;
const LOOKED_AT_BYTES = 2 ** 36;
/** How often one that waits for its turn looks whether it still wants it. */
const WAIT_MS = 20;

export interface MissingBlock {
  readonly hash: Uint8Array;
  /** Where it belongs in the content, which is where it was in its source. */
  readonly offsetBytes: number;
  /** The last one of a token may be shorter than the others. */
  readonly lengthBytes: number;
}

export interface HashSearchRequest {
  readonly missing: readonly MissingBlock[];
  readonly blockBytes: number;
  /** The volume that the blocks are wanted for, if it is one. */
  readonly destination: string | undefined;
  /** What is found is patched in here. */
  readonly content: PatchedContent;
  /** Throws what ends the search early. */
  readonly goOn: () => void;
}

export class HashSearch {
  readonly #clock: Clock;
  readonly #origins: TokenOrigins;
  readonly #places: KnownPlaces;
  readonly #bytesMax: number;
  #isSearching = false;

  constructor(options: { clock: Clock; origins: TokenOrigins; places: KnownPlaces; bytesMax: number }) {
    this.#clock = options.clock;
    this.#origins = options.origins;
    this.#places = options.places;
    this.#bytesMax = options.bytesMax;
  }

  get isOff(): boolean {
    return this.#bytesMax === 0;
  }

  /** Says what is missing still. */
  async find(request: HashSearchRequest): Promise<MissingBlock[]> {
    while (this.#isSearching) {
      request.goOn();
      await sleep(this.#clock, WAIT_MS);
    }
    this.#isSearching = true;
    try {
      return await this.#find(request);
    } finally {
      this.#isSearching = false;
    }
  }

  async #find(request: HashSearchRequest): Promise<MissingBlock[]> {
    const search = new Search(request, this.#clock, this.#bytesMax);
    await search.zeros();
    for (const { backing, locator } of this.#origins.volumes(request.destination)) {
      if (search.isOver) break;
      // It may be deleted in this moment.
      const opened = await backing.open([]).catch(() => undefined);
      if (opened === undefined) continue;
      const content = new SharedContent(opened);
      try {
        await search.volume(content, (hash, offsetBytes) =>
          this.#places.seen(hash, { locator, offsetBytes }),
        );
      } finally {
        content.close();
      }
    }
    return search.left();
  }
}

class Search {
  readonly #request: HashSearchRequest;
  readonly #clock: Clock;
  /** What is still looked for, by hash. */
  readonly #wanted = new Map<string, MissingBlock[]>();
  readonly #memory = new Uint8Array(WINDOW_BYTES);
  /** Place of the grid's first block. */
  readonly #firstBytes: number;
  #leftBytes: number;

  constructor(request: HashSearchRequest, clock: Clock, bytesMax: number) {
    this.#request = request;
    this.#clock = clock;
    this.#leftBytes = bytesMax;
    for (const block of request.missing) {
      const key = keyOf(block.hash);
      this.#wanted.set(key, [...(this.#wanted.get(key) ?? []), block]);
    }
    this.#firstBytes = request.missing[0]!.offsetBytes % request.blockBytes;
  }

  get isOver(): boolean {
    return this.#wanted.size === 0 || this.#leftBytes <= 0;
  }

  left(): MissingBlock[] {
    return [...this.#wanted.values()].flat().sort((one, other) => one.offsetBytes - other.offsetBytes);
  }

  /** Length of the one block that is wanted and shorter than the others; the grid's when there is none. */
  get #shortBytes(): number {
    return Math.min(this.#request.blockBytes, ...this.left().map(({ lengthBytes }) => lengthBytes));
  }

  /** Holes are not read, so blocks of zeros are known by their hashes. */
  async zeros(): Promise<void> {
    const { clock, goOn } = { clock: this.#clock, goOn: this.#request.goOn };
    for (const lengthBytes of new Set(this.left().map((block) => block.lengthBytes))) {
      const ranges = new TokenRanges([{ offsetBytes: 0, lengthBytes }]);
      const whole = { offsetBytes: 0, lengthBytes };
      this.#found(await hashToken({ ranges, content: ZEROS }, whole, { clock, goOn }), () => ZEROS, 0);
    }
  }

  async volume(content: SharedContent, seen: (hash: Uint8Array, offsetBytes: number) => void): Promise<void> {
    const { blockBytes, goOn } = this.#request;
    const { sizeBytes } = content;
    let next = this.#firstBytes;
    for (let at = next; at < sizeBytes && !this.isOver; ) {
      goOn();
      const extents = await extentsOf(content, at, Math.min(sizeBytes - at, LOOKED_AT_BYTES));
      if (extents.length === 0) return;
      for (const { offsetBytes, lengthBytes, kind } of extents) {
        const end = Math.min(offsetBytes + lengthBytes, sizeBytes);
        at = Math.max(at, end);
        if (kind !== "data") continue;
        const inGrid = (offsetBytes - this.#firstBytes) % blockBytes;
        next = Math.max(next, offsetBytes - inGrid);
        while (next < end && !this.isOver) {
          const step = Math.max(1, Math.floor(Math.min(WINDOW_BYTES, end - next) / blockBytes)) * blockBytes;
          await this.#look(
            content,
            { offsetBytes: next, lengthBytes: Math.min(step, sizeBytes - next) },
            seen,
          );
          next += step;
        }
      }
      at = Math.max(at, next);
      await nextTurn(this.#clock);
    }
  }

  /** Whole blocks of the grid one behind the other, as many as fit a window, or one that is longer. */
  async #look(
    content: SharedContent,
    { offsetBytes, lengthBytes }: { offsetBytes: number; lengthBytes: number },
    seen: (hash: Uint8Array, offsetBytes: number) => void,
  ): Promise<void> {
    const { blockBytes, goOn } = this.#request;
    const found = (hash: Uint8Array, at: number) => {
      if (this.#found(hash, () => content.share(), at)) seen(hash, at);
    };
    const shortBytes = this.#shortBytes;
    let hash = createHash("sha256");
    for (let done = 0; done < lengthBytes; ) {
      goOn();
      const window = this.#memory.subarray(0, Math.min(WINDOW_BYTES, lengthBytes - done));
      try {
        await content.read(offsetBytes + done, window);
      } catch {
        return;
      } finally {
        this.#leftBytes -= window.length;
      }
      for (let from = 0; from < window.length; ) {
        const inBlock = (done + from) % blockBytes;
        const start = offsetBytes + done + from - inBlock;
        const stop = inBlock < shortBytes ? shortBytes : blockBytes;
        const part = window.subarray(from, from + stop - inBlock);
        hash.update(part);
        from += part.length;
        if (inBlock + part.length < stop) continue;
        if (stop < blockBytes) found(hash.copy().digest(), start);
        else {
          found(hash.digest(), start);
          hash = createHash("sha256");
        }
      }
      done += window.length;
      await nextTurn(this.#clock);
    }
  }

  #found(hash: Uint8Array, content: () => TokenContent, fromBytes: number): boolean {
    const key = keyOf(hash);
    const blocks = this.#wanted.get(key);
    if (blocks === undefined) return false;
    for (const { offsetBytes, lengthBytes } of blocks)
      this.#request.content.patch({ offsetBytes, lengthBytes, content: content(), fromBytes });
    this.#wanted.delete(key);
    return true;
  }
}

/** A content that is closed when the search and all that was patched in from it are. */
class SharedContent {
  readonly #content: TokenContent;
  #users = 1;

  constructor(content: TokenContent) {
    this.#content = content;
  }

  get sizeBytes(): number {
    return this.#content.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#content.read(offset, target);
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#content.extents(offset, length, extentsMax);
  }

  share(): TokenContent {
    this.#users += 1;
    return { ...this.#content, close: () => this.close() };
  }

  close(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#content.close();
  }
}

const ZEROS: TokenContent = {
  pin: undefined,
  sizeBytes: Number.MAX_SAFE_INTEGER,
  read: async (_offset, target) => void target.fill(0),
  extents: (offsetBytes, lengthBytes) => [{ offsetBytes, lengthBytes, kind: "hole" }],
  close: () => undefined,
};

/** None where the volume cannot tell: what is unreadable there has nothing. */
async function extentsOf(content: SharedContent, offset: number, length: number): Promise<Extent[]> {
  try {
    return await content.extents(offset, length, EXTENTS_MAX);
  } catch {
    return [];
  }
}

function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString("base64");
}
