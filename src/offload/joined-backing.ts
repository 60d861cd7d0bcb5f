/**
 * What stands behind a joined token (T5): the backings of the tokens that were its parts, each with the ranges that its
 * token stood for.
 *
 * Always holds: a place in a joined token's ranges is a place in one part's data, the parts standing one behind the
 * other with a gap between them; the parts are given back together, when the last user is gone. Parts may be joined
 * themselves. Errors: those of opening a part, when nothing is open any more.
 */
import type { ByteRange, JoinedParts } from "../device/mod.ts";
import {
  leavesOf,
  type RangeWatch,
  type TokenBacking,
  type TokenContent,
  type TokenOrigin,
} from "./token-backing.ts";
import type { TokenRanges } from "./token-ranges.ts";
import { readToken } from "./token-use.ts";

/** A token's backing and ranges, without the token. */
export interface TokenPart {
  readonly backing: TokenBacking;
  readonly ranges: TokenRanges;
}

/** Keeps the ranges of neighbouring parts apart. */
const GAP_BYTES = 1;
/** Parts that a description names. */
const NAMED_MAX = 4;

/** Where each part stands. */
function startsOf(lengths: readonly number[]): number[] {
  let end = 0;
  return lengths.map((lengthBytes) => {
    const start = end;
    end += lengthBytes + GAP_BYTES;
    return start;
  });
}

/** The data of joined parts, as ranges of a joined backing. */
export function joinedRanges(lengths: readonly number[], pieces: JoinedParts["pieces"]): ByteRange[] {
  const next = startsOf(lengths);
  return pieces.map(({ part, lengthBytes }) => {
    const offsetBytes = next[part]!;
    next[part] = offsetBytes + lengthBytes;
    return { offsetBytes, lengthBytes };
  });
}

export class JoinedBacking implements TokenBacking {
  readonly origin: TokenOrigin;
  readonly parts: readonly TokenPart[];
  readonly #starts: readonly number[];
  #users = 1;

  /** Takes over one count of each part's backing. */
  constructor(parts: readonly TokenPart[]) {
    this.parts = parts;
    this.#starts = startsOf(parts.map(({ ranges }) => ranges.lengthBytes));
    this.origin = joinedOrigin(this);
  }

  set slot(slot: number | undefined) {
    for (const { backing } of leavesOf(this)) if ("slot" in backing) backing.slot = slot;
  }

  get settled(): Promise<void> {
    return Promise.all(this.parts.map(({ backing }) => backing.settled)).then(() => undefined);
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users === 0) for (const { backing } of this.parts) backing.release();
  }

  async open(): Promise<TokenContent> {
    const opened = await Promise.allSettled(
      this.parts.map(({ backing, ranges }) => backing.open(ranges.ranges)),
    );
    const contents = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const failed = opened.find((each) => each.status === "rejected");
    if (failed === undefined) return new JoinedContent(this.parts, this.#starts, contents);
    for (const content of contents) content.close();
    throw failed.reason;
  }

  async hasChanged(): Promise<boolean> {
    for (const { backing, ranges } of this.parts) if (await backing.hasChanged(ranges.ranges)) return true;
    return false;
  }
}

class JoinedContent implements TokenContent {
  readonly pin = undefined;
  readonly #parts: readonly TokenPart[];
  readonly #starts: readonly number[];
  readonly #contents: readonly TokenContent[];

  constructor(parts: readonly TokenPart[], starts: readonly number[], contents: readonly TokenContent[]) {
    this.#parts = parts;
    this.#starts = starts;
    this.#contents = contents;
  }

  get sizeBytes(): number {
    return this.#starts.at(-1)! + this.#parts.at(-1)!.ranges.lengthBytes;
  }

  at(offset: number): { content: TokenContent; offsetBytes: number; lengthBytes: number } {
    const index = this.#indexAt(offset);
    const inPart = this.#parts[index]!.ranges.at(offset - this.#starts[index]!)!;
    return { content: this.#contents[index]!, ...inPart };
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    const index = this.#indexAt(offset);
    const data = { ranges: this.#parts[index]!.ranges, content: this.#contents[index]! };
    return readToken(data, offset - this.#starts[index]!, target);
  }

  /** Whoever wants to know more asks the part, by `at`. */
  extents(offset: number, length: number): [{ offsetBytes: number; lengthBytes: number; kind: "data" }] {
    return [{ offsetBytes: offset, lengthBytes: length, kind: "data" }];
  }

  close(): void {
    for (const content of this.#contents) content.close();
  }

  #indexAt(offset: number): number {
    return this.#starts.findLastIndex((start) => start <= offset);
  }
}

/** What all parts were made of, as one: it is there while all of them are, and a change of any is one of it. */
function joinedOrigin(joined: JoinedBacking): TokenOrigin {
  const leaves = [...leavesOf(joined)];
  const origins = [...new Set(leaves.map(({ backing }) => backing.origin))];
  const [first, ...others] = new Set(origins.map(({ provider }) => provider));
  const names = [...new Set(origins.map(({ description }) => description))];
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  const watched: RangeWatch = {
    add: (slot) => {
      for (const origin of origins)
        origin.watched.add(
          slot,
          leaves.flatMap(({ backing, ranges }) => (backing.origin === origin ? ranges.ranges : [])),
        );
    },
    remove: (slot) => {
      for (const origin of origins) origin.watched.remove(slot);
    },
  };
  return {
    description: names.slice(0, NAMED_MAX).join(", ") + more,
    provider: others.length === 0 ? first! : "joined",
    watched,
    exists: () => origins.every((origin) => origin.exists()),
  };
}
