/**
 * The modifying requests that are on their way: what the simulator asked of the pool and the pool has not
 * answered. The pool's observer says when a record of one enters the log; here the record finds its request.
 *
 * Always holds: two requests that could be taken for each other are never on their way together (`clashes`).
 * A record that no request asked for, or that leaves its request's range, fails the check `foreign-record`.
 */
import { CheckFailed } from "./check-failed.ts";
import type { ModelHistory } from "./model-history.ts";
import type { Change } from "./pool-model.ts";

/** One append, as the pool reports it at the moment at which the operation takes effect. */
export interface AppendEvent {
  readonly sequence: number;
  readonly kind: string;
  /** The volume's id; 0 for records of no volume. */
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
}

/** Kinds of records that the pool also appends of its own accord: marks, and what cursors and pins need. */
const internalKinds: ReadonlySet<string> = new Set(["mark", "catalogue"]);

export interface RequestShape {
  readonly kind: string;
  /** Undefined until the pool chose the id; 0 for records that are of no volume. */
  readonly volume?: number;
  /** For requests on a range, which may become several records. */
  readonly range?: { readonly offset: number; readonly length: number };
  /** What one record of the request does to the model. */
  readonly change: (event: AppendEvent) => Change;
  /** Told of a record of no volume that the pool appended meanwhile: it may be one that this request needs. */
  readonly onInternal?: () => void;
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
    if (kind !== event.kind || (volume !== undefined && volume !== event.volume)) return false;
    if (range === undefined) return this.records === 0;
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

  /** Whether some request would take such a record. */
  expects(event: AppendEvent): boolean {
    for (const request of this.#open) if (request.takes(event)) return true;
    return false;
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
    if (!internalKinds.has(event.kind))
      throw new CheckFailed(
        "foreign-record",
        `nobody asked for ${event.kind} on volume ${event.volume} at ${event.offset}+${event.length}`,
      );
    this.appendedInternally(event);
  }

  /** A record of the pool's own: the model has nothing to do for it. */
  appendedInternally(event: AppendEvent): void {
    if (event.kind === "catalogue" && event.volume === 0)
      for (const { shape } of this.#open) shape.onInternal?.();
    this.#history.append({ kind: "nothing", sequence: event.sequence });
  }
}
