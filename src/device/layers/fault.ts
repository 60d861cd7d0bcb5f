/**
 * The layer `fault`: makes requests fail or wait by rules, for tests of whatever lies above. Manual: fault.md.
 *
 * Always holds: a request that fails here never reaches the device below; the same seed and the same requests
 * in the same order give the same faults. Requests that wait are let through at once when the opening closes.
 */
import { type ErrorCode, RopewalkError } from "../../base/errors.ts";
import { Prng } from "../../base/prng.ts";
import type { Clock, Timer } from "../../ports/mod.ts";
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { ByteRange, DeviceOffload } from "../offload.ts";
import type { Layer, LayerKind, LayerWorld } from "./layer.ts";
import { OPERATIONS, type Operation } from "./operation.ts";
import { Outstanding } from "./outstanding.ts";
import type { GivenParameters, Parameters } from "./parameters.ts";
import { bytesOfRanges } from "./split-offload.ts";

const ERRORS = [
  "none",
  "IO_ERROR",
  "NO_SPACE",
  "READ_ONLY",
  "POOL_READ_ONLY",
  "CHECKSUM_MISMATCH",
  "TIMEOUT",
  "UNSUPPORTED",
  "SHUTTING_DOWN",
  "TOKEN_UNKNOWN",
  "TOKEN_EXPIRED",
  "TOKEN_CANCELLED",
  "TOKEN_UNSUPPORTED",
] as const satisfies readonly (ErrorCode | "none")[];

const RULE = {
  operations: { type: "choices", choices: OPERATIONS, default: OPERATIONS },
  offsetBytes: { type: "size", unit: "bytes", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 },
  lengthBytes: {
    type: "size",
    unit: "bytes",
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    default: Number.MAX_SAFE_INTEGER,
  },
  probability: { type: "number", unit: "", minimum: 0, maximum: 1, default: 1 },
  skip: { type: "integer", unit: "requests", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 },
  count: {
    type: "integer",
    unit: "requests",
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    default: Number.MAX_SAFE_INTEGER,
  },
  delayMs: { type: "number", unit: "ms", minimum: 0, maximum: 3_600_000, default: 0 },
  error: { type: "choice", choices: ERRORS, default: "none" },
} as const;

const TABLE = {
  seed: { type: "integer", unit: "", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 },
  rules: { type: "list", of: RULE, lengthMax: 64 },
} as const;

type FaultRule = Parameters<typeof RULE>;
type FaultParameters = Parameters<typeof TABLE>;
/** As a configuration gives them. */
export type GivenFaultParameters = GivenParameters<typeof TABLE>;

export const faultLayer: LayerKind<typeof TABLE> = {
  name: "fault",
  parameters: TABLE,
  create: (parameters, world) => new FaultLayer(parameters, world),
};

/** What happens to one request. */
interface Fault {
  readonly delayMs: number;
  readonly error: RopewalkError | undefined;
}

/** A rule and how often it has matched and struck since it was set. */
interface RuleState {
  readonly rule: FaultRule;
  matched: number;
  struck: number;
}

class FaultLayer implements Layer<typeof TABLE> {
  readonly clock: Clock;
  #rules: RuleState[] = [];
  #prng = new Prng(0);

  constructor(parameters: FaultParameters, world: LayerWorld) {
    this.clock = world.clock;
    this.set(parameters);
  }

  over(inner: BlockDevice): BlockDevice {
    return new FaultDevice(inner, this);
  }

  /** Begins anew: the seed's sequence, and each rule's counts. */
  set({ seed, rules }: FaultParameters): void {
    this.#prng = new Prng(seed);
    this.#rules = rules.map((rule) => ({ rule, matched: 0, struck: 0 }));
  }

  strike(operation: Operation, offset: number, length: number): Fault | undefined {
    return this.#rules.length === 0
      ? undefined
      : this.strikeRanges(operation, [{ offsetBytes: offset, lengthBytes: length }]);
  }

  /** Rules in their order: each that strikes adds its delay, the first with an error ends the search. */
  strikeRanges(operation: Operation, ranges: readonly ByteRange[]): Fault | undefined {
    let delayMs = 0;
    let isStruck = false;
    for (const state of this.#rules) {
      if (!this.#strikes(state, operation, ranges)) continue;
      isStruck = true;
      delayMs += state.rule.delayMs;
      const { error } = state.rule;
      if (error !== "none") return { delayMs, error: injected(error, operation, ranges) };
    }
    return isStruck ? { delayMs, error: undefined } : undefined;
  }

  #strikes(state: RuleState, operation: Operation, ranges: readonly ByteRange[]): boolean {
    const { rule } = state;
    if (state.struck >= rule.count || !rule.operations.includes(operation)) return false;
    // A flush is about the whole device.
    const isInRange =
      operation === "flush" ||
      ranges.some(
        ({ offsetBytes, lengthBytes }) =>
          offsetBytes < rule.offsetBytes + rule.lengthBytes && offsetBytes + lengthBytes > rule.offsetBytes,
      );
    if (!isInRange || ++state.matched <= rule.skip || !this.#prng.chance(rule.probability)) return false;
    state.struck++;
    return true;
  }
}

function injected(code: ErrorCode, operation: Operation, ranges: readonly ByteRange[]): RopewalkError {
  const first = ranges[0];
  const isWhole = operation === "flush" || first === undefined;
  const range = isWhole ? "" : ` at ${first.offsetBytes} of ${bytesOfRanges(ranges)} bytes`;
  return new RopewalkError(code, `The fault layer failed a ${operation}${range}, as its rules say.`);
}

class FaultDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #layer: FaultLayer;
  readonly #outstanding = new Outstanding();
  /** Delays under way, and how to end each early. */
  readonly #delays = new Map<Timer, () => void>();

  constructor(inner: BlockDevice, layer: FaultLayer) {
    this.#inner = inner;
    this.#layer = layer;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload = inner.offload && this.#faultyOffload(inner.offload);
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const fault = this.#layer.strike("read", offset, target.length);
    if (fault === undefined) return this.#inner.read(offset, target);
    return this.#faulty(fault, () => this.#inner.read(offset, target));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const fault = this.#layer.strike("write", offset, source.length);
    if (fault === undefined) return this.#inner.write(offset, source, flags);
    return this.#faulty(fault, () => this.#inner.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    const fault = this.#layer.strike("zero", offset, length);
    if (fault === undefined) return this.#inner.zero(offset, length, flags);
    return this.#faulty(fault, () => this.#inner.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const fault = this.#layer.strike("trim", offset, length);
    if (fault === undefined) return this.#inner.trim(offset, length, flags);
    return this.#faulty(fault, () => this.#inner.trim(offset, length, flags));
  }

  flush(): Completion {
    const fault = this.#layer.strike("flush", 0, 0);
    if (fault === undefined) return this.#inner.flush();
    return this.#faulty(fault, () => this.#inner.flush());
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    const fault = this.#layer.strike("extents", offset, length);
    if (fault === undefined) return this.#inner.extents(offset, length, extentsMax);
    return this.#faulty(fault, () => this.#inner.extents(offset, length, extentsMax));
  }

  async close(): Promise<void> {
    for (const [timer, end] of this.#delays) {
      timer.cancel();
      end();
    }
    this.#delays.clear();
    await this.#outstanding.settled();
    await this.#inner.close();
  }

  #faultyOffload(inner: DeviceOffload): DeviceOffload {
    return {
      providers: inner.providers,
      read: async (request) => {
        const fault = this.#layer.strikeRanges("offloadRead", request.ranges);
        return fault === undefined ? inner.read(request) : this.#faulty(fault, () => inner.read(request));
      },
      write: async (request) => {
        const fault = this.#layer.strikeRanges("offloadWrite", request.ranges);
        return fault === undefined ? inner.write(request) : this.#faulty(fault, () => inner.write(request));
      },
    };
  }

  #faulty<Result>(fault: Fault, proceed: () => Result): Result | Promise<Awaited<Result>> {
    if (fault.delayMs > 0) return this.#outstanding.track(this.#delayed(fault, proceed));
    if (fault.error !== undefined) throw fault.error;
    return proceed();
  }

  async #delayed<Result>({ delayMs, error }: Fault, proceed: () => Result): Promise<Awaited<Result>> {
    await new Promise<void>((resolve) => {
      const timer = this.#layer.clock.after(delayMs, () => {
        this.#delays.delete(timer);
        resolve();
      });
      this.#delays.set(timer, resolve);
    });
    if (error !== undefined) throw error;
    return await proceed();
  }
}
