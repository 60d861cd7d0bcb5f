/**
 * The token room: every token of a daemon, whatever stack or path it came from (T15), and the devices that give and
 * take them.
 *
 * Always holds: a token that does not verify is TOKEN_UNKNOWN; what a token stands for is read from a frozen map, or
 * from a layer that preserves it; pins that no token needs are given back. Errors: the TOKEN_ codes, TOO_MANY when
 * nothing may make room, SHUTTING_DOWN after `close`.
 */
import { createHash } from "node:crypto";
import {
  type BlockDevice,
  checkDevice,
  type DeviceOffload,
  type JoinedParts,
  type OffloadReadRequest,
  type OffloadReadResult,
  type OffloadToken,
  type ProviderChoice,
  type TokenJoiner,
} from "../device/mod.ts";
import type { Clock, Random } from "../ports/mod.ts";
import type { ChecksumFiles } from "./checksum-files.ts";
import { CHECKSUMMED_BYTES_MAX } from "./companion-tokens.ts";
import { EmulatedLive, type EmulatedOrigin } from "./emulated-origin.ts";
import { EmulatedTokenDevice } from "./emulated-token-device.ts";
import { JoinedBacking, joinedRanges, type TokenPart } from "./joined-backing.ts";
import { type BoundData, bindPersistent, restorePersistent, type TokenFacts } from "./persistent-tokens.ts";
import { findPoolObject, POOL_PROVIDER, type PoolOrigin } from "./pool-origin.ts";
import { PoolTokenDevice } from "./pool-token-device.ts";
import type { TokenBacking } from "./token-backing.ts";
import { TokenBytes, UNIT_NAME_BYTES } from "./token-bytes.ts";
import type { ChecksumKeeper, CopyTarget } from "./token-copy.ts";
import type { TokenCounters } from "./token-counters.ts";
import { TokenLedger } from "./token-ledger.ts";
import { type NotedReadRequest, notesOf } from "./token-notes.ts";
import { emulatedLocator, poolLocator, TokenOrigins } from "./token-origins.ts";
import type { TokenPool } from "./token-pool.ts";
import { providerIds, providerOf } from "./token-providers.ts";
import { TokenRanges } from "./token-ranges.ts";
import { checkReadRequest } from "./token-request.ts";
import type { PoolMap, ProviderPolicy, Revocation, TokenInfo, TokenService } from "./token-service.ts";
import { completeTokenSettings, type GivenTokenSettings, type TokenSettings } from "./token-settings.ts";
import { type TokenChannel, TokenUses } from "./token-uses.ts";

export interface TokenRoomOptions {
  readonly pool: TokenPool;
  readonly clock: Clock;
  readonly random: Random;
  /** 32 secret bytes; with another key all tokens are unknown. */
  readonly key: Uint8Array;
  readonly settings?: GivenTokenSettings;
  /** Where kept checksums outlive the openings of their devices; without it they do not (T24). */
  readonly checksumFiles?: ChecksumFiles | undefined;
  /** Told of tokens that were given up, and of pins that cannot be read. */
  readonly report: (sentence: string) => void;
  /** Known bugs to plant, to prove that the simulator finds them (docs/simulation.md). */
  readonly plants?: ReadonlySet<string>;
}

/** What one provider's tokens are made of. */
interface TokenProvider {
  readonly unit: Uint8Array;
  readonly locator: Uint8Array;
  /** Follows the source. */
  readonly live: TokenBacking;
  bind(request: OffloadReadRequest, facts: TokenFacts): Promise<BoundData>;
}

export class TokenRoom implements TokenService {
  readonly settings: TokenSettings;
  readonly joiner: TokenJoiner = {
    join: (parts, request) => this.#join(parts, request),
    discard: (tokens) => this.#discard(tokens),
  };
  readonly #pool: TokenPool;
  readonly #ledger: TokenLedger;
  readonly #origins: TokenOrigins;
  readonly #uses: TokenUses;
  readonly #clock: Clock;
  readonly #plants: ReadonlySet<string>;
  #closing: Promise<void> | undefined;

  private constructor(options: TokenRoomOptions) {
    const { pool, clock, random, report } = options;
    this.#pool = pool;
    this.#clock = clock;
    this.settings = completeTokenSettings(options.settings ?? {});
    const { settings } = this;
    const isPoolShort = () => {
      if (settings.poolFreeBytesMin === 0) return false;
      const { sizeBytes, liveBytes } = pool.status();
      return sizeBytes - liveBytes < settings.poolFreeBytesMin;
    };
    const bytes = new TokenBytes(options.key);
    const ledger = new TokenLedger({ clock, random, settings, bytes, report, isPoolShort });
    this.#ledger = ledger;
    this.#plants = options.plants ?? new Set();
    const { checksumFiles } = options;
    this.#origins = new TokenOrigins({ pool, clock, ledger, checksumFiles, report, plants: this.#plants });
    this.#uses = new TokenUses({ clock, ledger, origins: this.#origins });
  }

  /** Takes up the persistent tokens of the pool again; those whose time is over end. INVALID_ARGUMENT (settings) */
  static async open(options: TokenRoomOptions): Promise<TokenRoom> {
    const room = new TokenRoom(options);
    await restorePersistent({
      pool: options.pool,
      ledger: room.#ledger,
      report: options.report,
      originOf: (object) => room.#origins.ofPool(object),
      plants: room.#plants,
    });
    return room;
  }

  get zeroToken(): Uint8Array {
    return this.#uses.zeroToken;
  }

  get counters(): Readonly<TokenCounters> {
    return this.#ledger.counters;
  }

  // ---- devices ----

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND */
  overPool(map: PoolMap, base: BlockDevice): BlockDevice {
    const checked = checkDevice(base);
    const origin = this.#origins.opened(findPoolObject(this.#pool, map));
    return checkDevice(
      new PoolTokenDevice({
        base: checked,
        origin,
        onChange: (offset, length) => {
          const at = this.#plants.has("token-wrong-watch") ? offset + length : offset;
          this.#origins.cancelChanged(origin.watched.find(at, length));
        },
        onClose: () => this.#origins.closed(origin),
        offload: (device) => this.#poolOffload(device, origin, checked.offload),
      }),
    );
  }

  emulatedOver(
    base: BlockDevice,
    options: { id: string; description: string; lastingName?: string | undefined },
  ): BlockDevice {
    const checked = checkDevice(base);
    const origin = this.#origins.emulated(options);
    return checkDevice(
      new EmulatedTokenDevice({
        base: checked,
        origin,
        offload: (device) => this.#emulatedOffload(device, origin, checked.offload),
      }),
    );
  }

  #poolOffload(device: PoolTokenDevice, origin: PoolOrigin, below: DeviceOffload | undefined): DeviceOffload {
    const { volume, snapshot } = origin.object.map;
    const graft = async (piece: { pin: number; sourceOffset: number; offset: number; length: number }) => {
      device.changes(piece.offset, piece.length);
      const { pin, ...rest } = piece;
      if (this.#plants.has("token-late-graft")) rest.sourceOffset += 4096;
      await this.#pool.graft({ source: { pin }, volume, ...rest });
    };
    return this.#offload(
      POOL_PROVIDER,
      below,
      snapshot === undefined ? { device, volume, graft } : { device },
      {
        unit: unitName(createHash("sha256").update(origin.object.uuid).digest("hex")),
        locator: poolLocator(origin),
        live: origin.followed,
        bind: (request, facts) => this.#bindPool(origin, request, facts),
      },
    );
  }

  #emulatedOffload(
    device: EmulatedTokenDevice,
    origin: EmulatedOrigin,
    below: DeviceOffload | undefined,
  ): DeviceOffload {
    const live = new EmulatedLive(origin);
    const { checksums } = origin;
    const keeper: ChecksumKeeper = {
      begin: (request) => origin.betweenChanges(() => checksums.begin(request)),
      acting: (write, act) => checksums.acting(write, act),
      end: (write, lengthBytes) => checksums.end(write, { lengthBytes, sizeBytes: device.sizeBytes }),
    };
    return this.#offload(
      origin.provider,
      below,
      checksums.isOff ? { device } : { device, checksums: keeper },
      {
        unit: unitName(createHash("sha256").update(origin.provider).digest("hex")),
        locator: emulatedLocator(origin),
        live,
        bind: async (request) => {
          const ranges = new TokenRanges(request.ranges);
          if (request.persistent)
            throw this.#ledger.refuse(
              "TOKEN_UNSUPPORTED",
              "What this provider keeps is lost with the process.",
            );
          if (request.policy === "reference") return { backing: live, ranges };
          return { backing: await origin.bind(ranges.ranges), ranges };
        },
      },
    );
  }

  #offload(
    id: string,
    below: DeviceOffload | undefined,
    target: CopyTarget,
    provider: TokenProvider,
  ): DeviceOffload {
    return {
      providers: providerIds(id, below),
      read: (request) =>
        providerOf(id, below, request)?.() ?? this.#measured(id, () => this.#issue(request, provider)),
      write: (request) => this.#uses.write(target, below, request),
    };
  }

  // ---- giving tokens ----

  /** A token read of a provider, for those who choose among several. */
  async #measured<Result>(id: string, issue: () => Promise<Result>): Promise<Result> {
    const { providers } = this.#ledger;
    const startedMs = this.#clock.nowMs();
    providers.began(id);
    try {
      const result = await issue();
      providers.answered(id, this.#clock.nowMs() - startedMs);
      return result;
    } finally {
      providers.ended(id);
    }
  }

  async #issue(given: NotedReadRequest, provider: TokenProvider): Promise<OffloadReadResult> {
    this.#checkRequest(given);
    const whole = new TokenRanges(given.ranges);
    if (whole.lengthBytes === 0) return { tokens: [], lengthBytes: 0 };
    if (given.kind === "hash") return this.#issueHashes(given, whole, provider);
    return this.#issueStored(given, whole, provider);
  }

  #checkRequest(request: NotedReadRequest): void {
    this.#uses.checkOpen();
    const problem = checkReadRequest(request, this.settings);
    if (problem !== undefined) throw this.#ledger.refuse(problem.code, problem.sentence);
  }

  async #issueStored(
    given: NotedReadRequest,
    whole: TokenRanges,
    provider: Pick<TokenProvider, "unit" | "bind">,
  ): Promise<OffloadReadResult> {
    const ledger = this.#ledger;
    const asked = given.withChecksums ? whole.first(CHECKSUMMED_BYTES_MAX) : whole;
    const request = { ...given, ranges: asked.ranges };
    const { policy, persistent, deleteOnUse, isProtected, inactivityMs, priority, creator } = request;
    const notes = notesOf(request);
    await ledger.pressure.makeRoom({ ranges: asked, policy, priority, notes });
    const facts = this.#newFacts(request);
    const { ranges, backing } = await provider.bind(request, facts);
    let checksum: Uint8Array | undefined;
    try {
      if (request.withChecksums) checksum = await this.#uses.hashTokens.checksum(backing, ranges);
      this.#uses.checkOpen();
    } catch (error) {
      backing.release();
      throw error;
    }
    const all = { ...facts, policy, persistent, deleteOnUse, isProtected };
    ledger.add({ ...all, ranges, inactivityMs, priority, creator, notes }, backing);
    ledger.counters.created += 1;
    const { lengthBytes } = ranges;
    const fields = { ...all, unit: provider.unit, lengthBytes };
    const place = { dataOffsetBytes: 0, lengthBytes };
    const tokens: OffloadToken[] = [{ ...place, token: ledger.bytes.encode(fields), role: "primary" }];
    if (checksum !== undefined) {
      const payload = { kind: "checksum", primaryId: facts.id, checksum } as const;
      const companion = ledger.bytes.encode({ ...fields, ...ledger.newId(), payload });
      tokens.push({ ...place, token: companion, role: "companion" });
    }
    return { tokens, lengthBytes };
  }

  async #join({ tokens, pieces }: JoinedParts, request: OffloadReadRequest): Promise<OffloadReadResult> {
    const ledger = this.#ledger;
    try {
      this.#checkRequest(request);
      const slots = tokens.map((token) => {
        const fields = ledger.verify(token);
        if (fields.payload === undefined && !fields.persistent) return ledger.find(fields);
        throw ledger.refuse(
          "TOKEN_UNSUPPORTED",
          "Only tokens that are kept, and end with the daemon, are joined.",
        );
      });
      const ranges = joinedRanges(
        slots.map((slot) => ledger.info(slot).lengthBytes),
        pieces,
      );
      return await this.#issueStored({ ...request, ranges }, new TokenRanges(ranges), {
        unit: unitName(
          createHash("sha256")
            .update(slots.map((slot) => ledger.info(slot).source).join("\n"))
            .digest("hex"),
        ),
        bind: async ({ ranges }) => ({
          backing: new JoinedBacking(this.#takeApart(tokens)),
          ranges: new TokenRanges(ranges),
        }),
      });
    } catch (error) {
      this.#discard(tokens);
      throw error;
    }
  }

  #takeApart(tokens: readonly Uint8Array[]): TokenPart[] {
    const parts: TokenPart[] = [];
    try {
      for (const token of tokens)
        parts.push(this.#ledger.takeApart(this.#ledger.find(this.#ledger.verify(token))));
      return parts;
    } catch (error) {
      for (const { backing } of parts) backing.release();
      throw error;
    }
  }

  #discard(tokens: readonly Uint8Array[]): void {
    for (const token of tokens) void this.revoke(token, { strength: "mandatory" }).catch(() => undefined);
  }

  async #issueHashes(
    request: OffloadReadRequest,
    asked: TokenRanges,
    provider: TokenProvider,
  ): Promise<OffloadReadResult> {
    const facts = this.#newFacts(request);
    const { payload, ranges } = await this.#uses.hashTokens.hash(provider, asked);
    const { policy, persistent, deleteOnUse, isProtected } = request;
    const { lengthBytes } = ranges;
    const fields = { ...facts, policy, persistent, deleteOnUse, isProtected, lengthBytes, payload };
    const token = this.#ledger.bytes.encode({ ...fields, unit: provider.unit });
    this.#ledger.counters.created += 1;
    return { tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }], lengthBytes };
  }

  #newFacts({ ttlMs }: OffloadReadRequest): TokenFacts {
    const createdAtMs = this.#ledger.nowMs();
    return { ...this.#ledger.newId(), createdAtMs, expiresAtMs: createdAtMs + ttlMs };
  }

  async #bindPool(origin: PoolOrigin, request: OffloadReadRequest, facts: TokenFacts): Promise<BoundData> {
    const ranges = new TokenRanges(request.ranges);
    if (request.policy === "reference") return { backing: origin.followed, ranges };
    const bound = request.persistent
      ? await bindPersistent(origin, { request, facts, generation: this.#ledger.bytes.generation })
      : { backing: await origin.bind(request.priority), ranges };
    // The volume may have been cut since the request was checked.
    if (bound.ranges.isInside(bound.backing.sizeBytes)) return bound;
    bound.backing.release();
    throw this.#ledger.refuse(
      "INVALID_RANGE",
      "A range ends past the end of what the token is to be made of.",
    );
  }

  // ---- taking tokens ----

  show(token: Uint8Array, channel: TokenChannel): TokenInfo {
    return this.#uses.show(token, channel);
  }

  /** Live ones, in the order they were made. */
  list(): TokenInfo[] {
    return this.#ledger.list();
  }

  read(token: Uint8Array, offset: number, target: Uint8Array, channel: TokenChannel): Promise<number> {
    return this.#uses.read(token, offset, target, channel);
  }

  revoke(token: Uint8Array, options: Revocation): Promise<void> {
    return this.#uses.revoke(token, options);
  }

  revokeId(id: string, options: Revocation): Promise<void> {
    return this.#uses.revokeId(id, options);
  }

  chooseProvider(
    providers: readonly string[],
    policy: ProviderPolicy = this.settings.choose,
  ): ProviderChoice {
    if (policy === "first" || providers.length < 2) return { skip: 0 };
    return { id: this.#ledger.providers.choose(providers, policy) };
  }

  giveUp(wanted: { provider: string; count: number }): number {
    return this.#ledger.giveUp(wanted);
  }

  endCreator(creator: string): void {
    if (this.settings.endWithSession) void this.#ledger.endCreator(creator);
  }

  /** Runs stop, pins of tokens that are not persistent are given back; the others wait for the next `open`. */
  close(): Promise<void> {
    return (this.#closing ??= this.#uses.close().then(() => this.#origins.close()));
  }
}

/**
 * An NAA name of the kind that is assigned locally (SPC-4, 7.8.6.6.5), from hexadecimal digits; page 83h of a unit makes
 * its name alike.
 */
function unitName(digits: string): Uint8Array {
  return Buffer.from(`3${digits.slice(1, UNIT_NAME_BYTES * 2)}`, "hex");
}
