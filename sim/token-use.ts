/**
 * One use of a token by a client, from its begin to its end: what it may read, and how it may end.
 *
 * Always holds: a use of a token that had ended before it began, or whose data had changed where that ends it, must be
 * refused (`token-ended`); any other refusal needs a reason (`token-refused`).
 */
import { type ErrorCode, RopewalkError } from "../src/base/errors.ts";
import { CheckFailed } from "./check-failed.ts";
import type { Life } from "./machine.ts";
import type { MapModel } from "./map-model.ts";
import type { TokenBook } from "./token-book.ts";
import { TokenContent } from "./token-content.ts";
import { keyOf, type TokenModel, type TokenSource } from "./token-model.ts";

/** The maps that a source was while it was watched. */
export class SourceWatch {
  readonly maps: MapModel[] = [];
  /** Whether the source was there all the time. */
  wasThere: boolean;
  readonly stop: () => void;

  constructor(life: Life, source: TokenSource) {
    const look = () => {
      const model = life.machine.history.current;
      const key = keyOf(model, source);
      if (key === undefined) this.wasThere = false;
      else this.maps.push(model.map(key).freeze());
    };
    this.wasThere = true;
    look();
    const stop = life.onAppend(({ volume }) => {
      if (volume === source.key.volume) look();
    });
    this.stop = stop;
  }
}

export interface Channel {
  readonly isProtected: boolean;
}

export class TokenUse {
  readonly token: TokenModel;
  readonly #life: Life;
  readonly #book: TokenBook;
  readonly #channel: Channel;
  readonly #watch: SourceWatch;
  readonly #fromMs: number;
  readonly #deletes: boolean;
  /** It had ended for certain when this began. */
  readonly wasOver: boolean;
  #followed: TokenContent | undefined;

  constructor(
    life: Life,
    book: TokenBook,
    token: TokenModel,
    channel: Channel,
    kind: "look" | "write" = "look",
  ) {
    this.#life = life;
    this.#book = book;
    this.token = token;
    this.#channel = channel;
    this.#fromMs = book.nowMs;
    this.wasOver = this.#isOver();
    this.#deletes = kind === "write" && token.facts.deleteOnUse;
    // Of several at once the first that is through ends it for the others.
    if (token.deleting > 0 || (this.#deletes && token.running > 0)) token.codes.add("TOKEN_DELETED");
    if (this.#deletes) token.deleting++;
    token.running++;
    this.#watch = new SourceWatch(life, token.source);
  }

  /** What the token may stand for in this use, as far as it is known by now. */
  get content(): TokenContent {
    if (this.token.facts.policy !== "reference") return this.token.content!;
    // Frozen at some moment between the begin and now; once something was seen of it, no later one.
    this.#followed ??= new TokenContent(this.#life.machine.content, this.token.ranges, this.#watch.maps);
    return this.#followed;
  }

  #isOver(): boolean {
    const { token } = this;
    if (token.isOver || token.isTimeOver(this.#fromMs)) return true;
    return this.#endsWithSource && keyOf(this.#life.machine.history.current, token.source) === undefined;
  }

  get #endsWithSource(): boolean {
    return this.token.facts.policy !== "preserve" || this.#book.settings.endWithVolume;
  }

  /** Whether it must be refused, as far as is known by now. */
  mustBeRefused(): boolean {
    if (this.wasOver || this.#isOnWrongChannel) return true;
    const { facts, content } = this.token;
    if (facts.policy !== "invalidate") return false;
    return this.#watch.maps.length > 0 && this.#watch.maps.every((map) => content!.compare(map).mustDiffer);
  }

  get #isOnWrongChannel(): boolean {
    return (
      this.token.facts.isProtected && !this.#channel.isProtected && !this.#book.settings.allowUnprotected
    );
  }

  /** Codes with which it may be refused, as far as is known by now. */
  mayBeRefused(): Set<ErrorCode> {
    const { token } = this;
    const book = this.#book;
    const codes = new Set(token.codes);
    if (this.#isOnWrongChannel) codes.add("TOKEN_CHANNEL");
    if (token.mayTimeBeOver(book.nowMs)) codes.add("TOKEN_EXPIRED");
    if (this.#endsWithSource && !this.#watch.wasThere) codes.add("TOKEN_DELETED");
    if (token.facts.policy === "invalidate" && this.#mayHaveChanged()) codes.add("TOKEN_CANCELLED");
    if (codes.size > 0 && book.isForgetful) codes.add("TOKEN_UNKNOWN");
    if (book.isTight) codes.add("TOO_MANY");
    // Binding a map of now finds no volume: it went between.
    if (token.facts.policy !== "preserve" && !this.#watch.wasThere) codes.add("VOLUME_NOT_FOUND");
    return codes;
  }

  #mayHaveChanged(): boolean {
    if (this.token.otherWays || this.token.wasRewritten) return true;
    return this.#watch.maps.some((map) => this.token.content!.compare(map).mayDiffer);
  }

  /** It counted as a use. */
  wasTaken(): void {
    this.token.usedFromMs = Math.max(this.token.usedFromMs, this.#fromMs);
  }

  /** It was done. */
  succeeded(): void {
    this.stopped();
    this.wasTaken();
    if (this.mustBeRefused())
      throw new CheckFailed(
        "token-ended",
        `${this.token.name} was taken although it has ended (${[...this.mayBeRefused()].join(", ")})`,
      );
  }

  /** It was refused. */
  refused(error: unknown, doing: string): ErrorCode {
    this.stopped();
    const allowed = [...this.mayBeRefused()];
    if (error instanceof RopewalkError && error.code.startsWith("TOKEN_") && !allowed.includes(error.code))
      throw new CheckFailed(
        "token-refused",
        `${doing} with ${this.token.name}: ${error.code}, expected ${allowed.join(", ") || "success"}`,
      );
    const code = this.#life.expectError(error, doing, allowed);
    if (code === "TOKEN_UNKNOWN") checkUnknown(this.#book, error);
    if (code.startsWith("TOKEN_") && code !== "TOKEN_CHANNEL") this.token.end(code);
    return code;
  }

  /** No longer used, whatever came of it. */
  stopped(): void {
    this.#watch.stop();
    this.token.running--;
    if (this.#deletes) this.token.deleting--;
    this.token.usedToMs = this.#book.nowMs;
  }
}

/** Whatever is wrong with an unknown token, the sentence is one and the same. */
export function checkUnknown(book: TokenBook, error: unknown): void {
  const { message } = error as Error;
  book.unknownSentence ??= message;
  if (message !== book.unknownSentence)
    throw new CheckFailed("token-unknown", `an unknown token is refused with another sentence: ${message}`);
}
