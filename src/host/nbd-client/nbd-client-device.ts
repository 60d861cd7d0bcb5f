/**
 * A foreign NBD export as a block device, over one connection that is made anew when it was lost.
 *
 * Always holds: a request that met a lost connection is tried again on a new one, as often as the setting says, unless
 * writes were acknowledged and not flushed: those may be gone, so the next request fails, and the next flush too.
 * Errors: IO_ERROR and TIMEOUT when the server does not do its part; NO_SPACE, READ_ONLY, UNSUPPORTED as it says.
 */
import { RopewalkError } from "../../base/errors.ts";
import {
  type BlockDevice,
  type Capabilities,
  type Capability,
  type Completion,
  type Extent,
  type ExtentKind,
  type Geometry,
  RequestFlag,
} from "../../device/mod.ts";
import type { Clock } from "../../ports/mod.ts";
import {
  AllocationFlag,
  Command,
  CommandFlag,
  type NbdUri,
  PAYLOAD_BYTES_MAX,
  parseNbdUri,
  type StatusExtent,
  TransmissionFlag,
} from "../../wire/nbd/mod.ts";
import { hostClock } from "../clock.ts";
import { type ConnectionLimits, NbdConnection, type NbdRequest } from "./connection.ts";
import type { ExportFacts } from "./handshake.ts";

/** Longest zeroing, trim or question about extents; the protocol's lengths have 32 bits. */
const STEP_BYTES = 1024 * 1024 * 1024;
const BLOCK_BYTES_MAX = 4096;

export interface NbdClientOptions extends Partial<ConnectionLimits> {
  readonly clock?: Clock;
  /** How often one request may make a new connection. Default 1. */
  readonly reconnectsMax?: number;
}

const DEFAULT_LIMITS: ConnectionLimits = {
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  requestsMax: 64,
};

/** `nbd://HOST[:PORT]/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`. INVALID_CONFIG, NOT_FOUND, IO_ERROR, TIMEOUT, UNSUPPORTED */
export async function openNbdClientDevice(
  uriText: string,
  options: NbdClientOptions = {},
): Promise<BlockDevice> {
  const uri = parseNbdUri(uriText);
  const { clock = hostClock, reconnectsMax = 1, ...given } = options;
  const limits = { ...DEFAULT_LIMITS, ...given };
  const connection = await NbdConnection.open(uri, clock, limits);
  try {
    return new NbdClientDevice({ uri, connection, clock, limits, reconnectsMax });
  } catch (error) {
    await connection.close();
    throw error;
  }
}

class NbdClientDevice implements BlockDevice {
  readonly sizeBytes: number;
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload = undefined;
  readonly #uri: NbdUri;
  readonly #clock: Clock;
  readonly #limits: ConnectionLimits;
  readonly #reconnectsMax: number;
  readonly #facts: ExportFacts;
  #connection: NbdConnection;
  #reconnecting: Promise<void> | undefined;
  /** Changes that were acknowledged and that no flush has covered. */
  #unflushed = 0;
  /** Connections that ended before a flush had covered everything: what was under way on them fails. */
  readonly #lossy = new WeakSet<NbdConnection>();
  #failsNext = false;
  #failsFlush = false;

  constructor(options: {
    uri: NbdUri;
    connection: NbdConnection;
    clock: Clock;
    limits: ConnectionLimits;
    reconnectsMax: number;
  }) {
    this.#uri = options.uri;
    this.#connection = options.connection;
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#reconnectsMax = options.reconnectsMax;
    this.#facts = options.connection.facts;
    const { sizeBytes, minimumBlockBytes, preferredBlockBytes, maximumPayloadBytes } = this.#facts;
    if (minimumBlockBytes > BLOCK_BYTES_MAX)
      throw new RopewalkError("UNSUPPORTED", `The NBD export has blocks of ${minimumBlockBytes} bytes.`);
    const longest = Math.min(maximumPayloadBytes, PAYLOAD_BYTES_MAX);
    this.geometry = {
      minimumBlockBytes,
      preferredBlockBytes,
      maximumRequestBytes: longest - (longest % minimumBlockBytes),
    };
    this.sizeBytes = sizeBytes - (sizeBytes % minimumBlockBytes);
    this.capabilities = capabilitiesOf(this.#facts);
  }

  read(offset: number, target: Uint8Array): Completion {
    return this.#ask({
      type: Command.read,
      flags: 0,
      offsetBytes: offset,
      lengthBytes: target.length,
      bytes: target,
    }).then(nothing);
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const request = {
      type: Command.write,
      flags: commandFlags(flags),
      offsetBytes: offset,
      lengthBytes: source.length,
      bytes: source,
    };
    return this.#ask(request).then(nothing);
  }

  zero(offset: number, length: number, flags: number): Completion {
    const holeFlag = flags & RequestFlag.noHole ? CommandFlag.noHole : 0;
    const fastFlag = flags & RequestFlag.fast ? CommandFlag.fastZero : 0;
    return this.#askInSteps(Command.writeZeroes, commandFlags(flags) | holeFlag | fastFlag, offset, length);
  }

  trim(offset: number, length: number, flags: number): Completion {
    return this.#askInSteps(Command.trim, commandFlags(flags), offset, length);
  }

  async flush(): Promise<void> {
    this.#lookAtLoss(this.#connection);
    if (this.#failsFlush) {
      this.#failsFlush = false;
      this.#failsNext = false;
      throw lostWrites();
    }
    const covered = this.#unflushed;
    await this.#ask({ type: Command.flush, flags: 0, offsetBytes: 0, lengthBytes: 0 });
    this.#unflushed = Math.max(0, this.#unflushed - covered);
  }

  async extents(offset: number, length: number, extentsMax: number): Promise<Extent[]> {
    const extents: Extent[] = [];
    const end = offset + length;
    let at = offset;
    while (at < end) {
      const lengthBytes = Math.min(STEP_BYTES, end - at);
      const flags = extentsMax === 1 ? CommandFlag.requestOne : 0;
      const found = await this.#ask({ type: Command.blockStatus, flags, offsetBytes: at, lengthBytes });
      if (found.length === 0) throw new RopewalkError("IO_ERROR", "The NBD server told no extents.");
      for (const extent of found) {
        const cut = Math.min(extent.lengthBytes, this.sizeBytes - at);
        const kind = kindOf(extent);
        const last = extents.at(-1);
        if (cut <= 0) return extents;
        if (last?.kind === kind)
          extents[extents.length - 1] = { ...last, lengthBytes: last.lengthBytes + cut };
        else if (extents.length === extentsMax) return extents;
        else extents.push({ offsetBytes: at, lengthBytes: cut, kind });
        at += cut;
      }
    }
    return extents;
  }

  async close(): Promise<void> {
    await this.#reconnecting?.catch(nothing);
    await this.#connection.close();
  }

  async #askInSteps(type: number, flags: number, offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += STEP_BYTES) {
      const lengthBytes = Math.min(STEP_BYTES, length - done);
      await this.#ask({ type, flags, offsetBytes: offset + done, lengthBytes });
    }
  }

  async #ask(request: NbdRequest): Promise<readonly StatusExtent[]> {
    for (let reconnects = 0; ; ) {
      this.#lookAtLoss(this.#connection);
      if (this.#failsNext) {
        this.#failsNext = false;
        throw lostWrites();
      }
      if (this.#connection.isOver) {
        if (reconnects >= this.#reconnectsMax)
          throw new RopewalkError("IO_ERROR", "The connection to the NBD server was lost.");
        await this.#reconnect();
        reconnects++;
      }
      const connection = this.#connection;
      try {
        const extents = await connection.request(request);
        this.#acknowledged(request);
        return extents;
      } catch (error) {
        this.#lookAtLoss(connection);
        // What a server says of a request is final; only what the connection says is tried again.
        if (!connection.isOver || reconnects >= this.#reconnectsMax || this.#lossy.has(connection))
          throw error;
      }
    }
  }

  #acknowledged({ type, flags }: NbdRequest): void {
    const isChange = type === Command.write || type === Command.writeZeroes || type === Command.trim;
    if (isChange && (flags & CommandFlag.fua) === 0 && this.capabilities.flush !== "absent")
      this.#unflushed++;
  }

  #lookAtLoss(connection: NbdConnection): void {
    if (!connection.isOver || connection !== this.#connection || this.#unflushed === 0) return;
    this.#unflushed = 0;
    this.#lossy.add(connection);
    this.#failsNext = true;
    this.#failsFlush = true;
  }

  /** One for all requests that met the loss. */
  #reconnect(): Promise<void> {
    this.#reconnecting ??= this.#connectAnew().finally(() => {
      this.#reconnecting = undefined;
    });
    return this.#reconnecting;
  }

  async #connectAnew(): Promise<void> {
    const connection = await NbdConnection.open(this.#uri, this.#clock, this.#limits);
    const { sizeBytes, transmissionFlags, minimumBlockBytes, allocationContextId } = connection.facts;
    const isSame =
      sizeBytes === this.#facts.sizeBytes &&
      transmissionFlags === this.#facts.transmissionFlags &&
      minimumBlockBytes === this.#facts.minimumBlockBytes &&
      (allocationContextId === undefined) === (this.#facts.allocationContextId === undefined);
    if (!isSame) {
      await connection.close();
      throw new RopewalkError("IO_ERROR", "The NBD export is another one than before; open it anew.");
    }
    this.#connection = connection;
  }
}

function capabilitiesOf({ transmissionFlags, allocationContextId }: ExportFacts): Capabilities {
  const has = (flag: number): boolean => (transmissionFlags & flag) !== 0;
  const native = (flag: number): Capability => (has(flag) ? "native" : "absent");
  return {
    writable: !has(TransmissionFlag.readOnly),
    flush: native(TransmissionFlag.flush),
    fua: native(TransmissionFlag.fua),
    trim: native(TransmissionFlag.trim),
    zero: native(TransmissionFlag.writeZeroes),
    fastZero: native(TransmissionFlag.fastZero),
    extents: allocationContextId === undefined ? "absent" : "native",
    sharedFlush: has(TransmissionFlag.multipleConnections),
    rotational: has(TransmissionFlag.rotational),
  };
}

function commandFlags(flags: number): number {
  return flags & RequestFlag.fua ? CommandFlag.fua : 0;
}

/** A hole whose bytes are not known to be zeros is data to whoever reads it. */
function kindOf({ flags }: StatusExtent): ExtentKind {
  if ((flags & AllocationFlag.zero) === 0) return "data";
  return flags & AllocationFlag.hole ? "hole" : "zero";
}

function lostWrites(): RopewalkError {
  return new RopewalkError(
    "IO_ERROR",
    "The connection to the NBD server was lost before writes were flushed; they may be gone.",
  );
}

function nothing(): void {}
