/**
 * All tokens that the simulator asked for, over all lives of the machine, and what happens to them from outside.
 * Always holds: a change through a device of the token room ends the tokens that it must end in the moment in which it
 * is issued.
 */
import type { TokenSettings } from "../src/offload/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import type { Machine } from "./machine.ts";
import type { AppendEvent } from "./requests.ts";
import type { TokenModel } from "./token-model.ts";

/** Tokens that are remembered at most; the oldest ended ones are forgotten first. */
const tokensMax = 40;
const givenUp = /^Token ([0-9a-f]{16}) of .* was given up \((\w+)\)\.$/;

export class TokenBook {
  readonly machine: Machine;
  readonly settings: TokenSettings;
  tokens: TokenModel[] = [];
  /** The one sentence with which an unknown token is refused. */
  unknownSentence: string | undefined;
  /** Ids of tokens that the room gave up before it handed them out. */
  readonly #givenUp = new Set<string>();

  constructor(machine: Machine, settings: TokenSettings) {
    this.machine = machine;
    this.settings = settings;
  }

  /** Some limit is so low that tokens are given up for it. */
  get isTight(): boolean {
    const { countMax, pinsMax, heldBytesMax } = this.settings;
    return countMax < 1000 || pinsMax < 1000 || heldBytesMax < Number.MAX_SAFE_INTEGER;
  }

  /** Ended tokens may be forgotten while the room is open. */
  get isForgetful(): boolean {
    return this.settings.endedMax < 1000;
  }

  get nowMs(): number {
    return Date.UTC(2026, 0, 1) + this.machine.clock.nowMs;
  }

  add(token: TokenModel): void {
    this.tokens.push(token);
    if (this.tokens.length <= tokensMax) return;
    const oldest = this.tokens.findIndex(({ isOver, running }) => isOver && running === 0);
    if (oldest >= 0) this.tokens.splice(oldest, 1);
  }

  /** The room handed the token out. */
  handedOut(token: TokenModel): void {
    if (this.#givenUp.has(token.id)) token.end("TOKEN_CANCELLED");
  }

  remove(token: TokenModel): void {
    this.tokens = this.tokens.filter((each) => each !== token);
  }

  get handed(): TokenModel[] {
    return this.tokens.filter(({ bytes }) => bytes !== undefined);
  }

  /** A change of a volume was issued through a device of the room. */
  changed(volume: number, offset: number, length: number): void {
    for (const token of this.tokens) {
      const { key } = token.source;
      if (token.facts.policy !== "invalidate" || key.volume !== volume || key.snapshot !== undefined)
        continue;
      if (token.touches(offset, length)) token.end("TOKEN_CANCELLED");
    }
  }

  /** A record of a volume's bytes entered the log. */
  recorded({ volume, offset, length }: AppendEvent): void {
    for (const token of this.tokens) {
      const { key } = token.source;
      if (key.volume === volume && key.snapshot === undefined && token.touches(offset, length))
        token.wasRewritten = true;
    }
  }

  /** A volume is about to be changed past the room. */
  changedOtherwise(volume: number): void {
    for (const token of this.tokens)
      if (token.source.key.volume === volume && token.source.key.snapshot === undefined)
        token.otherWays = true;
  }

  creatorEnded(creator: string): void {
    if (!this.settings.endWithSession) return;
    for (const token of this.tokens)
      if (token.facts.creator === creator && !token.facts.persistent) token.end("TOKEN_REVOKED");
  }

  /** What the room has to say in a life of its process. */
  reported(sentence: string): void {
    const match = givenUp.exec(sentence);
    if (match === null) throw new CheckFailed("token-report", `the room says: ${sentence}`);
    if (!this.isTight) throw new CheckFailed("token-pressure", `without pressure: ${sentence}`);
    this.#givenUp.add(match[1]!);
    for (const token of this.handed) if (token.id === match[1]) token.end("TOKEN_CANCELLED");
  }

  /** A room took up the persistent tokens again. */
  opened(fromMs: number): void {
    for (const token of this.tokens) {
      token.usedFromMs = fromMs;
      token.usedToMs = this.nowMs;
    }
  }

  processEnded(): void {
    for (const token of this.tokens) token.processEnded(this.machine.history.current, this.nowMs);
    this.tokens = this.tokens.filter(({ bytes }) => bytes !== undefined);
  }
}
