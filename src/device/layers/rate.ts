/**
 * The layer `rate`: lets at most so many bytes and requests a second through, reads and writes apart.
 * Manual: rate.md.
 *
 * Always holds: over any time the layer lets through at most rate × time + burst + one request, over all
 * openings together; requests of one direction pass in the order in which they came; a request that need not
 * wait costs no promise. Requests that wait are let through at once when their opening closes.
 * Errors: TOO_MANY when more requests wait than the queue holds.
 */
import type { BlockDevice, Capabilities, Completion, Extent, Geometry } from "../block-device.ts";
import type { DeviceOffload, OffloadWriteRequest } from "../offload.ts";
import type { Layer, LayerKind, LayerWorld } from "./layer.ts";
import { Outstanding } from "./outstanding.ts";
import type { GivenParameters, Parameters } from "./parameters.ts";
import { RateLane, type RatePass } from "./rate-lane.ts";
import { bytesOfRanges } from "./split-offload.ts";

const BYTES_PER_SECOND = { type: "size", unit: "bytes/s", minimum: 0, maximum: 2 ** 50, default: 0 } as const;
const REQUESTS_PER_SECOND = {
  type: "number",
  unit: "requests/s",
  minimum: 0,
  maximum: 1e9,
  default: 0,
} as const;

/** How a copy by token counts: not at all, as a request of no bytes, or with the bytes that it writes. */
const TOKEN_COPIES = ["free", "requests", "bytes"] as const;

const TABLE = {
  readBytesPerSecond: BYTES_PER_SECOND,
  writeBytesPerSecond: BYTES_PER_SECOND,
  readRequestsPerSecond: REQUESTS_PER_SECOND,
  writeRequestsPerSecond: REQUESTS_PER_SECOND,
  burstMs: { type: "number", unit: "ms", minimum: 1, maximum: 60_000, default: 1000 },
  tokenCopies: { type: "choice", choices: TOKEN_COPIES, default: "requests" },
} as const;

type RateParameters = Parameters<typeof TABLE>;
/** As a configuration gives them. */
export type GivenRateParameters = GivenParameters<typeof TABLE>;

export const rateLayer: LayerKind<typeof TABLE> = {
  name: "rate",
  parameters: TABLE,
  create: (parameters, world) => new RateLayer(parameters, world),
};

class RateLayer implements Layer<typeof TABLE> {
  readonly #reads: RateLane;
  readonly #writes: RateLane;
  tokenCopies: RateParameters["tokenCopies"] = "requests";

  constructor(parameters: RateParameters, { clock }: LayerWorld) {
    this.#reads = new RateLane(clock);
    this.#writes = new RateLane(clock);
    this.set(parameters);
  }

  over(inner: BlockDevice): BlockDevice {
    return new RateDevice({ inner, layer: this, reads: this.#reads, writes: this.#writes });
  }

  /** The buckets begin full. */
  set({
    readBytesPerSecond,
    readRequestsPerSecond,
    writeBytesPerSecond,
    writeRequestsPerSecond,
    burstMs,
    tokenCopies,
  }: RateParameters): void {
    this.tokenCopies = tokenCopies;
    this.#reads.set({
      bytesPerSecond: readBytesPerSecond,
      requestsPerSecond: readRequestsPerSecond,
      burstMs,
    });
    this.#writes.set({
      bytesPerSecond: writeBytesPerSecond,
      requestsPerSecond: writeRequestsPerSecond,
      burstMs,
    });
  }
}

class RateDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload | undefined;
  readonly #inner: BlockDevice;
  readonly #layer: RateLayer;
  readonly #reads: RateLane;
  readonly #writes: RateLane;
  readonly #waiting = new Set<RatePass>();
  readonly #outstanding = new Outstanding();

  constructor({
    inner,
    layer,
    reads,
    writes,
  }: {
    inner: BlockDevice;
    layer: RateLayer;
    reads: RateLane;
    writes: RateLane;
  }) {
    this.#inner = inner;
    this.#layer = layer;
    this.#reads = reads;
    this.#writes = writes;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.offload = inner.offload && this.#limitedOffload(inner.offload);
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const pass = this.#reads.enter(target.length);
    if (pass === undefined) return this.#inner.read(offset, target);
    return this.#later(pass, () => this.#inner.read(offset, target));
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const pass = this.#writes.enter(source.length);
    if (pass === undefined) return this.#inner.write(offset, source, flags);
    return this.#later(pass, () => this.#inner.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    const pass = this.#writes.enter(0);
    if (pass === undefined) return this.#inner.zero(offset, length, flags);
    return this.#later(pass, () => this.#inner.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const pass = this.#writes.enter(0);
    if (pass === undefined) return this.#inner.trim(offset, length, flags);
    return this.#later(pass, () => this.#inner.trim(offset, length, flags));
  }

  flush(): Completion {
    return this.#inner.flush();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    return this.#inner.extents(offset, length, extentsMax);
  }

  async close(): Promise<void> {
    for (const pass of this.#waiting) pass.open();
    await this.#outstanding.settled();
    await this.#inner.close();
  }

  #limitedOffload(inner: DeviceOffload): DeviceOffload {
    return {
      providers: inner.providers,
      read: async (request) => {
        const pass = this.#layer.tokenCopies === "free" ? undefined : this.#reads.enter(0);
        return pass === undefined ? inner.read(request) : this.#later(pass, () => inner.read(request));
      },
      write: async (request) => {
        const pass = this.#enterTokenWrite(request);
        return pass === undefined ? inner.write(request) : this.#later(pass, () => inner.write(request));
      },
    };
  }

  #enterTokenWrite({ ranges }: OffloadWriteRequest): RatePass | undefined {
    const { tokenCopies } = this.#layer;
    if (tokenCopies === "free") return undefined;
    return this.#writes.enter(tokenCopies === "bytes" ? bytesOfRanges(ranges) : 0);
  }

  #later<Result>(pass: RatePass, proceed: () => Promise<Result> | Result): Promise<Awaited<Result>> {
    return this.#outstanding.track(this.#afterPass(pass, proceed));
  }

  async #afterPass<Result>(
    pass: RatePass,
    proceed: () => Promise<Result> | Result,
  ): Promise<Awaited<Result>> {
    this.#waiting.add(pass);
    await pass.opened;
    this.#waiting.delete(pass);
    return await proceed();
  }
}
