// A device in memory with copies by token, for tests of layers: tokens hold a copy of their data, and are good on
// every device that shares the shelf. `bytesMax` makes operations do less than asked.
import { randomBytes } from "node:crypto";
import { RopewalkError } from "../../src/base/errors.ts";
import {
  type BlockDevice,
  checkDevice,
  type DeviceOffload,
  MemoryDevice,
  type OffloadReadRequest,
  type OffloadWriteRequest,
} from "../../src/device/mod.ts";

export class TokenShelf {
  readonly #data = new Map<string, Uint8Array>();
  /** `read A 0+512` and `write B 0+512`, in order. */
  readonly calls: string[] = [];

  keep(data: Uint8Array): Uint8Array {
    const token = new Uint8Array(randomBytes(512));
    this.#data.set(Buffer.from(token).toString("hex"), data);
    return token;
  }

  find(tokens: readonly Uint8Array[]): Uint8Array {
    for (const token of tokens) {
      const data = this.#data.get(Buffer.from(token).toString("hex"));
      if (data !== undefined) return data;
    }
    throw new RopewalkError("TOKEN_UNKNOWN", "No such token.");
  }
}

export interface TokenMemoryOptions {
  readonly sizeBytes: number;
  readonly name?: string;
  readonly bytesMax?: number;
}

/** A memory device behind the shim, its tokens on `shelf`. */
export function tokenMemoryDevice(
  shelf: TokenShelf,
  { sizeBytes, name = "device", bytesMax = Number.POSITIVE_INFINITY }: TokenMemoryOptions,
): BlockDevice {
  const memory = new MemoryDevice({ sizeBytes });
  const offload: DeviceOffload = {
    providers: [name],
    read: async ({ ranges }) => {
      shelf.calls.push(`read ${name} ${textOf(ranges)}`);
      const data = Buffer.concat(
        ranges.map(({ offsetBytes, lengthBytes }) => {
          const bytes = Buffer.alloc(lengthBytes);
          memory.read(offsetBytes, bytes);
          return bytes;
        }),
      );
      const lengthBytes = Math.min(data.length, bytesMax);
      const token = shelf.keep(data.subarray(0, lengthBytes));
      return { tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }], lengthBytes };
    },
    write: async ({ tokens, tokenOffsetBytes, ranges }) => {
      shelf.calls.push(`write ${name} ${textOf(ranges)}`);
      const data = shelf.find(tokens);
      let done = 0;
      for (const { offsetBytes, lengthBytes } of ranges) {
        const left = Math.min(lengthBytes, bytesMax - done, data.length - tokenOffsetBytes - done);
        if (left <= 0) break;
        const at = tokenOffsetBytes + done;
        memory.write(offsetBytes, data.subarray(at, at + left), 0);
        done += left;
        if (left < lengthBytes) break;
      }
      return { lengthBytes: done, movedBytes: done };
    },
  };
  Object.defineProperty(memory, "offload", { value: offload });
  return checkDevice(memory);
}

export function readRequest(offsetBytes: number, lengthBytes: number): OffloadReadRequest {
  return {
    ranges: [{ offsetBytes, lengthBytes }],
    policy: "preserve",
    ttlMs: 60_000,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority: 0,
    provider: { skip: 0 },
    withChecksums: false,
    creator: "test",
    isProtected: true,
  };
}

export function writeRequest(
  tokens: readonly Uint8Array[],
  offsetBytes: number,
  lengthBytes: number,
): OffloadWriteRequest {
  return {
    tokens,
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes, lengthBytes }],
    fua: false,
    isProtected: true,
  };
}

/**
 * Copies a range from one device to another by tokens alone, as a patient requestor does: with each token in turn,
 * and from where the last effective length ended.
 */
export async function copyByTokens(
  source: BlockDevice,
  target: BlockDevice,
  { from, to, lengthBytes }: { from: number; to: number; lengthBytes: number },
): Promise<void> {
  for (let done = 0; done < lengthBytes; ) {
    const read = await source.offload!.read(readRequest(from + done, lengthBytes - done));
    const first = read.tokens.find(({ dataOffsetBytes }) => dataOffsetBytes === 0)!;
    const written = await target.offload!.write(writeRequest([first.token], to + done, first.lengthBytes));
    if (written.lengthBytes === 0) throw new Error("a copy by token makes no progress");
    done += written.lengthBytes;
  }
}

export async function bytesAt(device: BlockDevice, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  await device.read(offset, bytes);
  return bytes;
}

/** Bytes that differ from place to place. */
export function pattern(length: number, seed: number): Buffer {
  return Buffer.from(
    Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) * 7 + seed) & 0xff),
  );
}

function textOf(ranges: readonly { offsetBytes: number; lengthBytes: number }[]): string {
  return ranges.map(({ offsetBytes, lengthBytes }) => `${offsetBytes}+${lengthBytes}`).join(" ");
}
