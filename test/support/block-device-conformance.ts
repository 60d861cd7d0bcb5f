// What every block device promises, as tests: memory, each layer over it, pool volumes. The model is a plain
// buffer; sequences of operations come from fast-check, whose report names the seed that repeats a failure.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ErrorCode } from "../../src/base/errors.ts";
import { type BlockDevice, type Extent, RequestFlag } from "../../src/device/mod.ts";

export interface ConformanceOptions {
  /** A fresh, writable device of this size that reads as zeros, behind the shim. Closed by the suite. */
  readonly open: (sizeBytes: number) => BlockDevice | Promise<BlockDevice>;
  /** A multiple of the device's smallest block; pages and a bit more, so that the last page is not whole. */
  readonly sizeBytes?: number;
  /** Sequences of operations tried. */
  readonly runs?: number;
  /** Trimmed bytes may read as anything until they are written again. */
  readonly trimReadsAsAnything?: boolean;
}

type Step =
  | {
      readonly kind: "write";
      readonly at: number;
      readonly units: number;
      readonly fill: number;
      readonly flags: number;
    }
  | { readonly kind: "zero"; readonly at: number; readonly units: number; readonly flags: number }
  | { readonly kind: "trim"; readonly at: number; readonly units: number; readonly flags: number }
  | { readonly kind: "read"; readonly at: number; readonly units: number }
  | { readonly kind: "extents"; readonly at: number; readonly units: number; readonly extentsMax: number }
  | { readonly kind: "flush" };

const PAGE_BYTES = 4096;

/** Declares the tests; `name` begins their titles. */
export function testBlockDevice(name: string, options: ConformanceOptions): void {
  const sizeBytes = options.sizeBytes ?? 40 * PAGE_BYTES + 1536;
  const opened = async (use: (device: BlockDevice) => Promise<void>): Promise<void> => {
    const device = await options.open(sizeBytes);
    try {
      await use(device);
    } finally {
      await device.close();
    }
  };

  test(`${name}: any sequence of operations leaves what it would leave in a buffer`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 40, size: "max" }), (steps) =>
        opened(async (device) => {
          const model = new Model(sizeBytes, options.trimReadsAsAnything ?? false);
          for (const step of steps) await takeStep(device, model, step);
          await model.compare(device, 0, sizeBytes);
          await model.compareExtents(device, { offset: 0, length: sizeBytes, extentsMax: 1_000_000 });
        }),
      ),
      { numRuns: options.runs ?? 100 },
    );
  });

  test(`${name}: requests under way together on ranges apart all take effect`, () =>
    opened(async (device) => {
      const unit = Math.max(512, device.geometry.minimumBlockBytes);
      const model = new Model(sizeBytes, false);
      const completions: unknown[] = [];
      for (let index = 0; (index + 1) * unit <= sizeBytes; index++) {
        const bytes = new Uint8Array(unit).fill(1 + (index % 255));
        model.write(index * unit, bytes);
        completions.push(
          device.write(index * unit, bytes, index % 7 === 0 ? RequestFlag.fua : RequestFlag.none),
        );
        if (index % 16 === 0) completions.push(device.flush());
      }
      await Promise.all(completions);
      await model.compare(device, 0, sizeBytes);
    }));

  test(`${name}: a request of length zero does nothing, anywhere up to the end`, () =>
    opened(async (device) => {
      for (const offset of [0, device.geometry.minimumBlockBytes, sizeBytes]) {
        await device.read(offset, new Uint8Array(0));
        await device.write(offset, new Uint8Array(0), RequestFlag.fua);
        await device.zero(offset, 0, RequestFlag.none);
        await device.trim(offset, 0, RequestFlag.none);
        assert.deepEqual(await device.extents(offset, 0, 1), []);
      }
      await new Model(sizeBytes, false).compare(device, 0, sizeBytes);
    }));

  test(`${name}: what is out of range or unknown is refused, each with its code, and changes nothing`, () =>
    opened(async (device) => {
      const unit = device.geometry.minimumBlockBytes;
      const block = new Uint8Array(unit).fill(9);
      const refused = (code: ErrorCode, request: () => unknown) =>
        assert.rejects(async () => void (await request()), { code });
      for (const offset of [sizeBytes, -unit, 2 ** 53, Number.NaN]) {
        await refused("INVALID_RANGE", () => device.read(offset, block));
        await refused("INVALID_RANGE", () => device.trim(offset, unit, 0));
        await refused("INVALID_RANGE", () => device.extents(offset, unit, 1));
      }
      await refused("NO_SPACE", () => device.write(sizeBytes, block, 0));
      await refused("NO_SPACE", () => device.zero(0, sizeBytes + unit, 0));
      await refused("INVALID_ARGUMENT", () => device.write(0, block, RequestFlag.noHole));
      await refused("INVALID_ARGUMENT", () => device.trim(0, unit, RequestFlag.fast));
      await refused("INVALID_ARGUMENT", () => device.zero(0, unit, 64));
      await refused("INVALID_ARGUMENT", () => device.extents(0, unit, 0));
      const tooLong = new Uint8Array(device.geometry.maximumRequestBytes + unit);
      await refused("TOO_LARGE", () => device.read(0, tooLong));
      await refused("TOO_LARGE", () => device.write(0, tooLong, 0));
      if (unit > 1) await refused("INVALID_RANGE", () => device.read(1, block));
      await new Model(sizeBytes, false).compare(device, 0, sizeBytes);
    }));

  test(`${name}: a closed device takes no request, and closing it again is fine`, async () => {
    const device = await options.open(sizeBytes);
    await device.close();
    await device.close();
    const shuttingDown = { code: "SHUTTING_DOWN" };
    const block = new Uint8Array(device.geometry.minimumBlockBytes);
    await assert.rejects(async () => void (await device.read(0, block)), shuttingDown);
    await assert.rejects(async () => void (await device.write(0, block, 0)), shuttingDown);
    await assert.rejects(async () => void (await device.flush()), shuttingDown);
  });
}

const flagsArbitrary = fc.constantFrom(RequestFlag.none, RequestFlag.none, RequestFlag.fua);
const placeArbitrary = {
  /** Place and length in 512ths of the device, and small lengths as often as large ones. */
  at: fc.integer({ min: 0, max: 511 }),
  units: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 512 })),
};

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    ...placeArbitrary,
    fill: fc.integer({ min: 0, max: 255 }),
    flags: flagsArbitrary,
  }),
  fc.record({
    kind: fc.constant("zero" as const),
    ...placeArbitrary,
    flags: fc.constantFrom(RequestFlag.none, RequestFlag.fua, RequestFlag.noHole),
  }),
  fc.record({ kind: fc.constant("trim" as const), ...placeArbitrary, flags: flagsArbitrary }),
  fc.record({ kind: fc.constant("read" as const), ...placeArbitrary }),
  fc.record({
    kind: fc.constant("extents" as const),
    ...placeArbitrary,
    extentsMax: fc.integer({ min: 1, max: 5 }),
  }),
  fc.record({ kind: fc.constant("flush" as const) }),
);

async function takeStep(device: BlockDevice, model: Model, step: Step): Promise<void> {
  if (step.kind === "flush") return void (await device.flush());
  const { offset, length } = rangeOf(step, device);
  switch (step.kind) {
    case "write": {
      const bytes = Uint8Array.from({ length }, (_, index) => step.fill + index + (index >> 8));
      model.write(offset, bytes);
      return void (await device.write(offset, bytes, step.flags));
    }
    case "zero":
      model.zero(offset, length);
      return void (await device.zero(offset, length, step.flags));
    case "trim":
      model.trim(offset, length);
      return void (await device.trim(offset, length, step.flags));
    case "read":
      return model.compare(device, offset, length);
    case "extents":
      return model.compareExtents(device, { offset, length, extentsMax: step.extentsMax });
  }
}

/** A range on the device, cut at its end, in its smallest blocks. */
function rangeOf({ at, units }: { at: number; units: number }, device: BlockDevice) {
  const { minimumBlockBytes, maximumRequestBytes } = device.geometry;
  const blocks = device.sizeBytes / minimumBlockBytes;
  const first = Math.min(Math.floor((at * blocks) / 512), blocks - 1);
  const wanted = Math.max(1, Math.round((units * blocks) / 512));
  const length = Math.min(wanted, blocks - first) * minimumBlockBytes;
  return { offset: first * minimumBlockBytes, length: Math.min(length, maximumRequestBytes) };
}

class Model {
  readonly #bytes: Uint8Array;
  /** 1 where a trim left anything. */
  readonly #unknown: Uint8Array;
  readonly #trimReadsAsAnything: boolean;

  constructor(sizeBytes: number, trimReadsAsAnything: boolean) {
    this.#bytes = new Uint8Array(sizeBytes);
    this.#unknown = new Uint8Array(sizeBytes);
    this.#trimReadsAsAnything = trimReadsAsAnything;
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
    this.#unknown.fill(0, offset, offset + bytes.length);
  }

  zero(offset: number, length: number): void {
    this.#bytes.fill(0, offset, offset + length);
    this.#unknown.fill(0, offset, offset + length);
  }

  trim(offset: number, length: number): void {
    this.#bytes.fill(0, offset, offset + length);
    this.#unknown.fill(this.#trimReadsAsAnything ? 1 : 0, offset, offset + length);
  }

  async compare(device: BlockDevice, offset: number, length: number): Promise<void> {
    const target = new Uint8Array(length).fill(0xa5);
    const { maximumRequestBytes } = device.geometry;
    for (let done = 0; done < length; done += maximumRequestBytes) {
      await device.read(offset + done, target.subarray(done, done + maximumRequestBytes));
    }
    for (let index = 0; index < length; index++) {
      if (target[index] === this.#bytes[offset + index] || this.#unknown[offset + index] === 1) continue;
      assert.fail(`byte ${offset + index} is ${target[index]}, not ${this.#bytes[offset + index]}`);
    }
  }

  async compareExtents(
    device: BlockDevice,
    { offset, length, extentsMax }: { offset: number; length: number; extentsMax: number },
  ): Promise<void> {
    const extents = await device.extents(offset, length, extentsMax);
    assert.ok(extents.length >= 1 && extents.length <= extentsMax, `${extents.length} of ${extentsMax}`);
    let at = offset;
    let before: Extent | undefined;
    for (const extent of extents) {
      assert.equal(extent.offsetBytes, at, "extents stand one behind the other");
      assert.ok(extent.lengthBytes > 0, "an extent is not empty");
      assert.ok(before?.kind !== extent.kind, `two extents in a row are ${extent.kind}`);
      at += extent.lengthBytes;
      assert.ok(at <= device.sizeBytes, "no extent reaches past the device");
      if (extent.kind !== "data") this.#mustBeZeros(extent);
      before = extent;
    }
    if (extents.length < extentsMax) assert.ok(at >= offset + length, "the whole range is told");
  }

  #mustBeZeros({ offsetBytes, lengthBytes, kind }: Extent): void {
    for (let index = offsetBytes; index < offsetBytes + lengthBytes; index++) {
      assert.ok(this.#bytes[index] === 0, `byte ${index} is data inside a ${kind}`);
    }
  }
}
