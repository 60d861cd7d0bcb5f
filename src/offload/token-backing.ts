/**
 * What stands behind a token: where its bytes are kept, and for how long.
 * Always holds: a backing lives while its users are counted (tokens and runs that read it), then it gives back what it
 * kept; a content is read only between `open` and `close`.
 */
import type { BlockDevice, ByteRange, Extent } from "../device/mod.ts";
import type { TokenRanges } from "./token-ranges.ts";

/** Which tokens end when ranges change. */
export interface RangeWatch {
  add(slot: number, ranges: readonly ByteRange[]): void;
  remove(slot: number): void;
}

/** What tokens are made of: a volume, a snapshot, another device. */
export interface TokenOrigin {
  /** `VOLUME`, `VOLUME@SNAPSHOT`, or a device's description. */
  readonly description: string;
  /** Id of the provider that keeps the tokens. */
  readonly provider: string;
  /** Tokens that end when their ranges change, by slot. */
  readonly watched: RangeWatch;
  /** It was not deleted. */
  exists(): boolean;
}

export interface TokenBacking {
  readonly origin: TokenOrigin;
  /** Row of the one token that it stands behind, where no other may share it. */
  slot?: number | undefined;
  /** Of one that is joined. */
  readonly parts?: readonly { readonly backing: TokenBacking; readonly ranges: TokenRanges }[];
  hold(): void;
  release(): void;
  /** What the ranges of one use are read from. */
  open(ranges: readonly ByteRange[]): Promise<TokenContent>;
  /** Whether somebody changed the ranges whom the origin's watch does not see. */
  hasChanged(ranges: readonly ByteRange[]): Promise<boolean>;
  /** Resolves when everything that was given back is. */
  readonly settled: Promise<void>;
}

export interface TokenContent {
  /** Pin of the pool that holds the bytes at the same places; undefined elsewhere. */
  readonly pin: number | undefined;
  readonly sizeBytes: number;
  read(offset: number, target: Uint8Array): Promise<void>;
  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]>;
  /** Of joined data: the content that has the byte, its place there, and how many follow it there. */
  at?(offset: number): { content: TokenContent; offsetBytes: number; lengthBytes: number };
  close(): void;
}

/** The parts of a joined backing that are not joined themselves; of another one nothing. */
export function* leavesOf({
  parts = [],
}: TokenBacking): Generator<NonNullable<TokenBacking["parts"]>[number]> {
  for (const part of parts)
    if (part.backing.parts === undefined) yield part;
    else yield* leavesOf(part.backing);
}

/** Whether it is that backing, or has it as a part. */
export function isMadeOf(whole: TokenBacking | undefined, backing: TokenBacking): boolean {
  return whole === backing || (whole?.parts?.some((part) => isMadeOf(part.backing, backing)) ?? false);
}

/** What it was made of in the end: of a joined one several. */
export function originsOf(backing: TokenBacking): TokenOrigin[] {
  if (backing.parts === undefined) return [backing.origin];
  return [...leavesOf(backing)].map((part) => part.backing.origin);
}

/** Reads however long a range in requests that the device takes; what lies past its end is zeros. */
export async function readWhole(device: BlockDevice, offset: number, target: Uint8Array): Promise<void> {
  const step = device.geometry.maximumRequestBytes;
  const inside = Math.min(target.length, Math.max(0, device.sizeBytes - offset));
  for (let done = 0; done < inside; done += step) {
    const wait = device.read(offset + done, target.subarray(done, Math.min(done + step, inside)));
    if (wait !== undefined) await wait;
  }
  target.fill(0, inside);
}
