// A device in memory whose token copies do as a test says: fall short, fail with a code, wait, follow the source.
// It serves the paths of the copy manager that a healthy provider never takes.
import { type ErrorCode, RopewalkError } from "../../src/base/errors.ts";
import {
  type BlockDevice,
  type DeviceOffload,
  MemoryDevice,
  type OffloadReadRequest,
  type OffloadReadResult,
  type OffloadWriteRequest,
  type OffloadWriteResult,
  type ProviderChoice,
  type TokenJoiner,
} from "../../src/device/mod.ts";
import type { CopyTokens } from "../../src/frontend/iscsi/third-party-copy/mod.ts";

export type ScriptedStep =
  | { readonly kind: "fail"; readonly code: ErrorCode }
  /** Does at most so much. */
  | { readonly kind: "short"; readonly bytesMax: number }
  /** Ends when the promise does, or with CANCELLED when the request's signal is raised. */
  | { readonly kind: "wait"; readonly until: Promise<void> };

interface KeptToken {
  readonly request: OffloadReadRequest;
  readonly data: Uint8Array;
  state: "valid" | "revoked";
}

export class ScriptedTokens implements CopyTokens {
  /** What the next requests do, one each; afterwards all that was asked. */
  readonly reads: ScriptedStep[] = [];
  readonly writes: ScriptedStep[] = [];
  readonly readRequests: OffloadReadRequest[] = [];
  readonly writeRequests: OffloadWriteRequest[] = [];
  readonly endedCreators: string[] = [];
  readonly #kept = new Map<string, KeptToken>();

  get kept(): number {
    return this.#kept
      .values()
      .filter((token) => token.state === "valid")
      .toArray().length;
  }

  /** A device in memory has no borders to be joined. */
  readonly joiner: TokenJoiner = {
    join: () => Promise.reject(new RopewalkError("TOKEN_UNSUPPORTED", "there is nothing to join")),
    discard: () => undefined,
  };
  /** What `chooseProvider` says; the first where it is empty. */
  readonly choices: ProviderChoice[] = [];

  chooseProvider(): ProviderChoice {
    return this.choices.shift() ?? { skip: 0 };
  }

  device(sizeBytes: number): BlockDevice {
    return new ScriptedDevice(sizeBytes, this);
  }

  async make(device: BlockDevice, request: OffloadReadRequest): Promise<OffloadReadResult> {
    this.readRequests.push(request);
    const bytesMax = await follow(this.reads.shift(), undefined);
    const pieces: Uint8Array[] = [];
    for (const { offsetBytes, lengthBytes } of request.ranges) {
      const piece = new Uint8Array(lengthBytes);
      await device.read(offsetBytes, piece);
      pieces.push(piece);
    }
    const data = Buffer.concat(pieces).subarray(0, bytesMax);
    const token = new Uint8Array(512);
    token.set([0x00, 0x80, 0x00, 0x00, 0, 0, 0x01, 0xf8]);
    new DataView(token.buffer).setUint32(12, this.#kept.size + 1);
    this.#kept.set(hex(token), { request, data, state: "valid" });
    return {
      tokens: [{ token, dataOffsetBytes: 0, lengthBytes: data.length, role: "primary" }],
      lengthBytes: data.length,
    };
  }

  async use(device: BlockDevice, request: OffloadWriteRequest): Promise<OffloadWriteResult> {
    this.writeRequests.push(request);
    const bytesMax = await follow(this.writes.shift(), request.signal);
    const kept = this.#find(request.tokens[0]!);
    if (kept.state === "revoked") throw new RopewalkError("TOKEN_REVOKED", "it was revoked");
    let at = request.tokenOffsetBytes;
    let left = bytesMax;
    for (const { offsetBytes, lengthBytes } of request.ranges) {
      const piece = kept.data.subarray(at, at + Math.min(lengthBytes, left));
      await device.write(offsetBytes, piece, 0);
      at += piece.length;
      left -= piece.length;
      if (piece.length < lengthBytes) break;
    }
    const lengthBytes = at - request.tokenOffsetBytes;
    return { lengthBytes, movedBytes: lengthBytes };
  }

  show(token: Uint8Array) {
    return this.#info(hex(token), this.#find(token));
  }

  list() {
    return [...this.#kept].map(([key, kept]) => this.#info(key, kept));
  }

  async revoke(token: Uint8Array): Promise<void> {
    this.#find(token).state = "revoked";
  }

  endCreator(creator: string): void {
    this.endedCreators.push(creator);
  }

  #find(token: Uint8Array): KeptToken {
    const kept = this.#kept.get(hex(token));
    if (kept === undefined) throw new RopewalkError("TOKEN_UNKNOWN", "there is no such token");
    return kept;
  }

  #info(key: string, { request, data, state }: KeptToken) {
    const { policy, persistent, deleteOnUse, priority, inactivityMs, creator } = request;
    return {
      id: key.slice(16, 32),
      state,
      kind: "data" as const,
      lengthBytes: data.length,
      ...{ policy, persistent, deleteOnUse, priority, inactivityMs, creator },
      createdAtMs: 0,
      expiresAtMs: request.ttlMs,
      uses: 0,
      usedAtMs: 0,
      provider: "scripted",
      source: "memory",
    };
  }
}

async function follow(step: ScriptedStep | undefined, signal: AbortSignal | undefined): Promise<number> {
  if (step?.kind === "fail") throw new RopewalkError(step.code, `the test wants ${step.code}`);
  if (step?.kind === "wait") {
    const aborted = new Promise<never>((_resolve, reject) => {
      signal?.addEventListener("abort", () =>
        reject(new RopewalkError("CANCELLED", "the signal was raised")),
      );
    });
    await Promise.race([step.until, aborted]);
  }
  return step?.kind === "short" ? step.bytesMax : Number.MAX_SAFE_INTEGER;
}

function hex(token: Uint8Array): string {
  return Buffer.from(token).toString("hex");
}

class ScriptedDevice implements BlockDevice {
  readonly #memory: MemoryDevice;
  readonly offload: DeviceOffload;

  constructor(sizeBytes: number, tokens: ScriptedTokens) {
    this.#memory = new MemoryDevice({ sizeBytes });
    this.offload = {
      providers: ["scripted"],
      read: (request) => tokens.make(this, request),
      write: (request) => tokens.use(this, request),
    };
  }

  get sizeBytes() {
    return this.#memory.sizeBytes;
  }
  get geometry() {
    return this.#memory.geometry;
  }
  get capabilities() {
    return this.#memory.capabilities;
  }
  read(offset: number, target: Uint8Array) {
    return this.#memory.read(offset, target);
  }
  write(offset: number, source: Uint8Array, flags: number) {
    return this.#memory.write(offset, source, flags);
  }
  zero(offset: number, length: number, flags: number) {
    return this.#memory.zero(offset, length, flags);
  }
  trim(offset: number, length: number, flags: number) {
    return this.#memory.trim(offset, length, flags);
  }
  flush() {
    return this.#memory.flush();
  }
  extents(offset: number, length: number, extentsMax: number) {
    return this.#memory.extents(offset, length, extentsMax);
  }
  close() {
    return this.#memory.close();
  }
}
