/**
 * The segment that the log goes on in when the current one is full, taken ahead of need so that nobody waits for it.
 *
 * Always holds: no record stands in it before it is taken. When the pool is full there is none, and taking it tells.
 */
import { RopewalkError } from "../../base/errors.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Segment } from "./segment.ts";
import type { Segments } from "./segments.ts";

export class NextSegment {
  readonly #segments: Segments;
  readonly #onError: (error: unknown) => void;
  #segment: Segment | undefined;
  #preparing: Promise<void> | undefined;

  /** `onError` is told of any failure but a full pool. */
  constructor(segments: Segments, onError: (error: unknown) => void) {
    this.#segments = segments;
    this.#onError = onError;
  }

  /** The prepared one, if there is. */
  get segment(): Segment | undefined {
    return this.#segment;
  }

  /** Gets it ready in the background. */
  prepare(): void {
    if (this.#segment !== undefined || this.#preparing !== undefined) return;
    this.#preparing = this.#segments
      .take(SegmentKind.log, "client")
      .then(
        (segment) => {
          this.#segment = segment;
        },
        (error) => {
          if (!(error instanceof RopewalkError && error.code === "NO_SPACE")) this.#onError(error);
        },
      )
      .finally(() => {
        this.#preparing = undefined;
      });
  }

  /** The prepared one, or another. NO_SPACE */
  async take(purpose: "upkeep" | "client"): Promise<Segment> {
    await this.#preparing;
    const next = this.#segment ?? (await this.#segments.take(SegmentKind.log, purpose));
    this.#segment = undefined;
    return next;
  }

  /** Resolves when none is being prepared. */
  async settle(): Promise<void> {
    await this.#preparing;
  }
}
