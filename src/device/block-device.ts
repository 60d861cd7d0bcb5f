/**
 * The one interface between whatever stores blocks and whatever serves them: pool volumes, snapshots, files
 * and layers are block devices, and front ends serve any of them.
 *
 * Always holds: offsets and lengths are bytes; requests inside the limits of `geometry` and in range were
 * checked by the shim (`checked-device.ts`), so that no layer validates again. There is no default
 * pass-through: a layer implements every operation or does not compile.
 * Errors: RopewalkErrors, thrown when the operation ended at once, else as a rejection.
 */

import type { DeviceOffload } from "./offload.ts";

/**
 * `undefined`: done when the call returned. A promise: done when it resolves. One promise may stand for many
 * requests (a group commit), so never assume that it is yours alone.
 */
export type Completion = Promise<void> | undefined;

export interface Geometry {
  /** Smallest unit of offset and length of every request; a power of two from 1 to 4096. */
  readonly minimumBlockBytes: number;
  /** Unit in which requests are cheapest; a power of two. */
  readonly preferredBlockBytes: number;
  /** Longest read or write in one request; a multiple of the minimum. */
  readonly maximumRequestBytes: number;
}

/** What a device does itself, what a layer below does for it with more work, and what it cannot do. */
export type Capability = "native" | "emulated" | "absent";

export interface Capabilities {
  readonly writable: boolean;
  readonly flush: Capability;
  readonly fua: Capability;
  readonly trim: Capability;
  readonly zero: Capability;
  /** Zeroing that is never slower than writing: what NBD calls FAST_ZERO. */
  readonly fastZero: Capability;
  readonly extents: Capability;
  /** A flush or FUA on one opening of the device covers what was acknowledged on all of them. */
  readonly sharedFlush: boolean;
  /** Whether the medium prefers sequential access. */
  readonly rotational: boolean;
}

/** Flags of a modifying request, added up. */
export const RequestFlag = {
  none: 0,
  /** The request is durable before it completes. */
  fua: 1,
  /** Zeroing must leave the range allocated. */
  noHole: 2,
  /** Fail with UNSUPPORTED rather than be as slow as writing. */
  fast: 4,
} as const;

/** `hole`: not allocated, reads as zeros. `zero`: known to read as zeros. `data`: anything. */
export type ExtentKind = "hole" | "zero" | "data";

export interface Extent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly kind: ExtentKind;
}

export interface BlockDevice {
  /** Current size; may change between requests (resize). */
  readonly sizeBytes: number;
  readonly geometry: Geometry;
  /** Asked once at open and kept by whoever stacks on top. */
  readonly capabilities: Capabilities;

  /** Fills `target` with the bytes at `offset`. `target` is undefined until completion, and after an error. */
  read(offset: number, target: Uint8Array): Completion;

  /** Writes `source` at `offset`. The caller leaves `source` alone until completion. Flags: fua. */
  write(offset: number, source: Uint8Array, flags: number): Completion;

  /** Makes the range read as zeros. Flags: fua, noHole, fast. */
  zero(offset: number, length: number, flags: number): Completion;

  /** Gives the range's space back; afterwards it reads as zeros on a pool volume, as anything elsewhere. Flags: fua. */
  trim(offset: number, length: number, flags: number): Completion;

  /** Everything acknowledged before the call is durable at completion. */
  flush(): Completion;

  /**
   * The range as extents, in order, without gaps, adjacent ones of one kind joined; the last may reach past
   * the range, never past the device. At most `extentsMax`; then what follows is left out.
   */
  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]>;

  /** Copies by token; undefined where there are none. Asked once at open and kept by whoever stacks on top. */
  readonly offload: DeviceOffload | undefined;

  /** Ends this opening. Outstanding requests finish first. */
  close(): Promise<void>;
}
