/**
 * A token as it should be: what it stands for, and whether it has ended, may have ended, or must live.
 *
 * Always holds: `isOver` only when it has ended for certain, for one of the codes in `codes`; when `codes` is empty, no
 * reason but time, its source or its data can have ended it. Those are judged where it is used (token-use.ts).
 */
import type { ErrorCode } from "../src/base/errors.ts";
import type { ByteRange, ChangePolicy } from "../src/device/mod.ts";
import type { MapKey, PoolModel } from "./pool-model.ts";
import type { TokenContent } from "./token-content.ts";

/** What the room's clock may differ from the simulator's by rounding. */
const roundingMs = 3;

/** The volume or snapshot that a token was made of, which a later one of the same name is not. */
export interface TokenSource {
  readonly key: { readonly volume: number; readonly snapshot?: string };
  /** Sequence of the snapshot. */
  readonly sequence: number | undefined;
}

export function tokenSource(model: PoolModel, key: TokenSource["key"]): TokenSource {
  const { volume, snapshot } = key;
  const sequence =
    snapshot === undefined ? undefined : model.volume(volume).snapshots.get(snapshot)?.sequence;
  return { key, sequence };
}

/** The key of a source that is still there. */
export function keyOf(model: PoolModel, { key, sequence }: TokenSource): MapKey | undefined {
  const volume = model.volumes.get(key.volume);
  if (volume === undefined) return undefined;
  if (key.snapshot === undefined) return key;
  return volume.snapshots.get(key.snapshot)?.sequence === sequence ? key : undefined;
}

export interface TokenRequestFacts {
  readonly policy: ChangePolicy;
  readonly ttlMs: number;
  readonly inactivityMs: number;
  readonly persistent: boolean;
  readonly deleteOnUse: boolean;
  readonly isProtected: boolean;
  readonly creator: string;
}

export class TokenModel {
  readonly facts: TokenRequestFacts;
  readonly source: TokenSource;
  /** As asked for, until the room said how much it bound. */
  ranges: readonly ByteRange[];
  /** Undefined until the room has handed it out. */
  bytes: Uint8Array | undefined;
  content: TokenContent | undefined;
  expiresAtMs = Number.POSITIVE_INFINITY;
  /** Between these it was last used. */
  usedFromMs = 0;
  usedToMs = 0;
  /** Uses that run now; each may count as the last one at any moment. */
  running = 0;
  /** Of these, writes that end it when they are through. */
  deleting = 0;
  isOver = false;
  /** Its holder was told of its end as of something durable. */
  isOverForGood = false;
  readonly codes = new Set<ErrorCode>();
  /** Its source was changed past the room. */
  otherWays = false;
  /** A record of its ranges followed since it was asked for: of a request that was under way, maybe without a new byte. */
  wasRewritten = false;

  constructor(facts: TokenRequestFacts, source: TokenSource, ranges: readonly ByteRange[]) {
    this.facts = facts;
    this.source = source;
    this.ranges = ranges;
  }

  get lengthBytes(): number {
    return this.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  get id(): string {
    return Buffer.from(this.bytes!.subarray(8, 16)).toString("hex");
  }

  get name(): string {
    const { policy, persistent } = this.facts;
    return `${persistent ? "persistent " : ""}${policy} token ${this.bytes === undefined ? "being made" : this.id}`;
  }

  touches(offset: number, length: number): boolean {
    return this.ranges.some(
      ({ offsetBytes, lengthBytes }) =>
        offsetBytes < offset + length && offset < offsetBytes + lengthBytes && lengthBytes > 0,
    );
  }

  /** It ends now for certain; one that is being made only may. */
  end(code: ErrorCode): void {
    this.codes.add(code);
    if (this.bytes !== undefined) this.isOver = true;
  }

  /** Whether its time is over for certain. */
  isTimeOver(nowMs: number): boolean {
    if (nowMs >= this.expiresAtMs + roundingMs) return true;
    const { inactivityMs } = this.facts;
    return inactivityMs > 0 && this.running === 0 && nowMs >= this.usedToMs + inactivityMs + roundingMs;
  }

  /** Whether its time may be over. */
  mayTimeBeOver(nowMs: number): boolean {
    if (nowMs >= this.expiresAtMs - roundingMs) return true;
    const { inactivityMs } = this.facts;
    return inactivityMs > 0 && nowMs >= this.usedFromMs + inactivityMs - roundingMs;
  }

  /** The process is gone: what becomes of the token with the next one. */
  processEnded(model: PoolModel, nowMs: number): void {
    const wasDeleting = this.deleting > 0;
    this.running = 0;
    this.deleting = 0;
    if (!this.facts.persistent || this.isOverForGood || this.bytes === undefined) {
      this.isOver = true;
      this.codes.add("TOKEN_UNKNOWN");
      return;
    }
    const isDoubtful =
      this.isOver ||
      wasDeleting ||
      this.codes.size > 0 ||
      this.mayTimeBeOver(nowMs) ||
      keyOf(model, this.source) === undefined ||
      this.otherWays ||
      (this.wasRewritten && this.facts.policy === "invalidate");
    if (!isDoubtful) return;
    // Its end may have been durable, or not.
    this.isOver = false;
    this.codes.add("TOKEN_UNKNOWN");
  }
}
