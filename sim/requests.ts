/**
 * The modifying requests that are on their way: what the simulator asked of the pool and the pool has not
 * answered. The pool's observer says when a record of one enters the log; here the record finds its request.
 *
 * Always holds: two requests that could be taken for each other are never on their way together (`clashes`).
 * A record that no request asked for, or that leaves its request's range, fails the check `foreign-record`.
 */
import type { PoolWorld } from "../src/pool/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import type { ModelHistory } from "./model-history.ts";
import type { Change } from "./pool-model.ts";

export type AppendEvent = Parameters<NonNullable<PoolWorld["observer"]>>[0];

/** Records that the pool also appends of its own accord: marks, and what cursors and long grafts need. */
const internalKinds: ReadonlySet<string> = new Set([
  "mark",
  "pin",
  "unpin",
  "cursor-acknowledge",
  "cursor-drop",
  "cursor-lose",
  "cursor-restart",
]);

export interface RequestShape {
  /** Kind of its records; for catalogue records the operation. */
  readonly kind: string;
  /** Undefined when the pool chooses the id; 0 for records that are of no volume. */
  readonly volume?: number;
  /** For requests on a range, which may become several records. */
  readonly range?: { readonly offset: number; readonly length: number };
  /** What one record of the request does to the model. */
  readonly change: (event: AppendEvent) => Change;
  /** Told of the kind of a record that the pool appended meanwhile of its own accord. */
  readonly onInternal?: (kind: string) => void;
}

function kindOf(event: AppendEvent): string {
  return event.operation ?? event.kind;
}

export class Request {
  readonly shape: RequestShape;
  /** The records so far end here. */
  reached: number;
  lastSequence = 0;
  records = 0;

  constructor(shape: RequestShape) {
    this.shape = shape;
    this.reached = shape.range?.offset ?? 0;
  }

  /** Whether the log holds all of it. */
  get complete(): boolean {
    const { range } = this.shape;
    return range === undefined ? this.records > 0 : this.reached === range.offset + range.length;
  }

  takes(event: AppendEvent): boolean {
    const { kind, volume, range } = this.shape;
    if (kind !== kindOf(event) || (volume !== undefined && volume !== event.volume)) return false;
    if (range === undefined) return this.records === 0;
    // A write is one record, so another write that begins at the same place is told from it by its length.
    if (kind === "write")
      return this.records === 0 && event.offset === range.offset && event.length === range.length;
    return event.offset === this.reached && event.offset + event.length <= range.offset + range.length;
  }
}

export class Requests {
  readonly #history: ModelHistory;
  readonly #open = new Set<Request>();

  constructor(history: ModelHistory) {
    this.#history = history;
  }

  get count(): number {
    return this.#open.size;
  }

  begin(shape: RequestShape): Request {
    const request = new Request(shape);
    this.#open.add(request);
    return request;
  }

  end(request: Request): void {
    this.#open.delete(request);
  }

  /** Whether records of such a request could be taken for another's. */
  clashes(kind: string, volume: number, offset: number, length: number): boolean {
    for (const { shape } of this.#open) {
      if (shape.kind !== kind || shape.volume !== volume) continue;
      const { range } = shape;
      if (range === undefined) return true;
      if (kind === "write" && (range.offset !== offset || range.length !== length)) continue;
      if (range.offset < offset + length && offset < range.offset + range.length) return true;
    }
    return false;
  }

  /** The requests on their way, for messages. */
  describe(): string[] {
    return [...this.#open].map(({ shape: { kind, volume, range }, reached }) =>
      range === undefined
        ? kind
        : `${kind} of volume ${volume} at ${range.offset}+${range.length} (at ${reached})`,
    );
  }

  /** A record of some request, or of the pool's own, entered the log. */
  appended(event: AppendEvent): void {
    for (const request of this.#open) {
      if (!request.takes(event)) continue;
      const change = request.shape.change(event);
      request.records++;
      request.lastSequence = event.sequence;
      if (request.shape.range !== undefined) request.reached += event.length;
      this.#history.append({ ...change, sequence: event.sequence });
      return;
    }
    const kind = kindOf(event);
    if (!internalKinds.has(kind))
      throw new CheckFailed(
        "foreign-record",
        `nobody asked for ${kind} on volume ${event.volume} at ${event.offset}+${event.length}`,
      );
    for (const { shape } of this.#open) shape.onInternal?.(kind);
    this.#history.append({ kind: "nothing", sequence: event.sequence });
  }
}
