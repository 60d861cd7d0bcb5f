/**
 * The layer `trace`: prints each request with its result and how long it took. Manual: trace.md.
 *
 * Always holds: a line is printed when its request has ended, so lines stand in the order of completion; what
 * the request gave is handed on as it came, a completion that failed included.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type Geometry,
  RequestFlag,
} from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import type { Layer, LayerKind, LayerWorld } from "./layer.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import type { GivenParameters, Parameters } from "./parameters.ts";
import { bytesOfRanges } from "./split-offload.ts";

const TABLE = {
  operations: { type: "choices", choices: OPERATIONS, default: OPERATIONS },
  slowerThanMs: { type: "number", unit: "ms", minimum: 0, maximum: 3_600_000, default: 0 },
} as const;

type TraceParameters = Parameters<typeof TABLE>;
/** As a configuration gives them. */
export type GivenTraceParameters = GivenParameters<typeof TABLE>;

export const traceLayer: LayerKind<typeof TABLE> = {
  name: "trace",
  parameters: TABLE,
  create: (parameters, world) => new TraceLayer(parameters, world),
};

class TraceLayer implements Layer<typeof TABLE> {
  readonly #world: LayerWorld;
  #parameters: TraceParameters;
  #openings = 0;

  constructor(parameters: TraceParameters, world: LayerWorld) {
    this.#parameters = parameters;
    this.#world = world;
  }

  over(inner: BlockDevice): BlockDevice {
    return new TraceDevice({ inner, layer: this, opening: ++this.#openings });
  }

  set(parameters: TraceParameters): void {
    this.#parameters = parameters;
  }

  nowMs(): number {
    return this.#world.clock.nowMs();
  }

  printRequest(request: TracedRequest, outcome: string): void {
    const { operations, slowerThanMs } = this.#parameters;
    const elapsedMs = this.nowMs() - request.startedMs;
    if (elapsedMs < slowerThanMs || !operations.includes(request.operation)) return;
    this.print(request.opening, `${request.operation} ${request.what}${outcome} ${elapsedMs.toFixed(3)} ms`);
  }

  print(opening: number, text: string): void {
    this.#world.print(`#${opening} ${text}`);
  }
}

interface TracedRequest {
  readonly opening: number;
  readonly operation: Operation;
  /** Range and flags, with a space behind each. */
  readonly what: string;
  readonly startedMs: number;
}

class TraceDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #layer: TraceLayer;
  readonly #opening: number;

  constructor({ inner, layer, opening }: { inner: BlockDevice; layer: TraceLayer; opening: number }) {
    this.#inner = inner;
    this.#layer = layer;
    this.#opening = opening;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload = inner.offload && this.#tracedOffload(inner.offload);
    layer.print(
      opening,
      `open ${inner.sizeBytes} ${inner.capabilities.writable ? "read-write" : "read-only"}`,
    );
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const request = this.#begin("read", rangeText(offset, target.length));
    return this.#completed(request, () => this.#inner.read(offset, target));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const request = this.#begin("write", rangeText(offset, source.length) + flagsText(flags));
    return this.#completed(request, () => this.#inner.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    const request = this.#begin("zero", rangeText(offset, length) + flagsText(flags));
    return this.#completed(request, () => this.#inner.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const request = this.#begin("trim", rangeText(offset, length) + flagsText(flags));
    return this.#completed(request, () => this.#inner.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.#completed(this.#begin("flush", ""), () => this.#inner.flush());
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const request = this.#begin("extents", rangeText(offset, length));
    let extents: Extent[] | Promise<Extent[]>;
    try {
      extents = this.#inner.extents(offset, length, extentsMax);
    } catch (error) {
      this.#layer.printRequest(request, failureText(error));
      throw error;
    }
    const done = (found: Extent[]) => this.#layer.printRequest(request, `ok (${found.length})`);
    if (Array.isArray(extents)) done(extents);
    else extents.then(done, (error: unknown) => this.#layer.printRequest(request, failureText(error)));
    return extents;
  }

  async close(): Promise<void> {
    try {
      await this.#inner.close();
    } catch (error) {
      this.#layer.print(this.#opening, `close ${failureText(error)}`);
      throw error;
    }
    this.#layer.print(this.#opening, "close ok");
  }

  #tracedOffload(inner: DeviceOffload): DeviceOffload {
    return {
      providers: inner.providers,
      read: (request) =>
        this.#traced("offloadRead", `${rangesText(request.ranges)}${request.policy} `, async () => {
          const result = await inner.read(request);
          return [result, `ok (${result.tokens.length} for ${result.lengthBytes})`];
        }),
      write: (request) =>
        this.#traced(
          "offloadWrite",
          rangesText(request.ranges) + flagsText(request.fua ? RequestFlag.fua : 0),
          async () => {
            const result = await inner.write(request);
            return [result, `ok (${result.lengthBytes}, moved ${result.movedBytes})`];
          },
        ),
    };
  }

  async #traced<Result>(
    operation: Operation,
    what: string,
    work: () => Promise<[Result, string]>,
  ): Promise<Result> {
    const request = this.#begin(operation, what);
    try {
      const [result, outcome] = await work();
      this.#layer.printRequest(request, outcome);
      return result;
    } catch (error) {
      this.#layer.printRequest(request, failureText(error));
      throw error;
    }
  }

  #begin(operation: Operation, what: string): TracedRequest {
    return { opening: this.#opening, operation, what, startedMs: this.#layer.nowMs() };
  }

  #completed(request: TracedRequest, start: () => Completion): Completion {
    let completion: Completion;
    try {
      completion = start();
    } catch (error) {
      this.#layer.printRequest(request, failureText(error));
      throw error;
    }
    if (completion === undefined) this.#layer.printRequest(request, "ok");
    else {
      completion.then(
        () => this.#layer.printRequest(request, "ok"),
        (error: unknown) => this.#layer.printRequest(request, failureText(error)),
      );
    }
    return completion;
  }
}

function rangeText(offset: number, length: number): string {
  return `${offset}+${length} `;
}

/** A single range as it is; of several the first and how many more there are. */
function rangesText(ranges: readonly ByteRange[]): string {
  const first = ranges[0];
  if (first === undefined) return "no ranges ";
  if (ranges.length === 1) return rangeText(first.offsetBytes, first.lengthBytes);
  const total = bytesOfRanges(ranges);
  return `${first.offsetBytes}+${first.lengthBytes} and ${ranges.length - 1} more, ${total} in all `;
}

function flagsText(flags: number): string {
  let text = "";
  if (flags & RequestFlag.fua) text += "fua ";
  if (flags & RequestFlag.noHole) text += "no-hole ";
  if (flags & RequestFlag.fast) text += "fast ";
  return text;
}

function failureText(error: unknown): string {
  return error instanceof RopewalkError ? error.code : "INTERNAL";
}
