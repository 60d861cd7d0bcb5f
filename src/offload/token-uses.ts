/**
 * Taking tokens: what may be done with 512 bytes that somebody hands in, whichever kind of token they are.
 *
 * Always holds: bytes are verified before anything else is looked at (T8); a use that was begun is finished.
 * Errors: the TOKEN_ codes, CHECKSUM_MISMATCH of data that is not what its companion says, SHUTTING_DOWN after `close`.
 */
import { RopewalkError } from "../base/errors.ts";
import type { DeviceOffload, OffloadWriteRequest, OffloadWriteResult } from "../device/mod.ts";
import type { Clock } from "../ports/mod.ts";
import { openEnvelope } from "./companion-tokens.ts";
import { HashTokens, unstoredInfo } from "./hash-tokens.ts";
import type { KeptWrite } from "./kept-checksums.ts";
import type { TokenContent } from "./token-backing.ts";
import { type TokenFields, zeroTokenBytes } from "./token-bytes.ts";
import { type CopyTarget, TokenCopy } from "./token-copy.ts";
import type { TokenLedger } from "./token-ledger.ts";
import type { TokenOrigins } from "./token-origins.ts";
import type { TokenRun } from "./token-run.ts";
import { type Revocation, TOKEN_BYTES, type TokenInfo } from "./token-service.ts";
import { hashToken, readToken, type TokenUse } from "./token-use.ts";

export interface TokenChannel {
  readonly isProtected: boolean;
}

/** What a token write brings along for its primaries. */
interface CompanionUse {
  checksumsOf(primary: TokenFields): readonly Uint8Array[];
  readonly kept?: KeptWrite;
  /** The volume that is written. */
  readonly volume?: string | undefined;
}

export class TokenUses {
  readonly zeroToken = zeroTokenBytes();
  readonly hashTokens: HashTokens;
  readonly #clock: Clock;
  readonly #ledger: TokenLedger;
  #isClosing = false;

  constructor({ clock, ledger, origins }: { clock: Clock; ledger: TokenLedger; origins: TokenOrigins }) {
    this.#clock = clock;
    this.#ledger = ledger;
    this.hashTokens = new HashTokens({ clock, ledger, origins, stopped: () => this.#closingError() });
  }

  async write(
    target: CopyTarget,
    below: DeviceOffload | undefined,
    request: OffloadWriteRequest,
  ): Promise<OffloadWriteResult> {
    this.checkOpen();
    const ledger = this.#ledger;
    if (below !== undefined && !request.tokens.some((token) => this.#isOurs(token)))
      return below.write(request);
    const { primaries, checksumsOf, hasChecksums } = openEnvelope(ledger, request);
    if (primaries.length === 0 && request.tokens.length > 0)
      throw ledger.refuse("TOKEN_UNSUPPORTED", "A companion gives no data; hand in its primary token too.");
    const kept = hasChecksums ? await target.checksums?.begin(request) : undefined;
    const source = {
      clock: this.#clock,
      used: (provider: string, done: { bytes: number; movedBytes: number }) =>
        ledger.providers.used(provider, done),
      moved: (bytes: number) => ledger.load.moved(bytes),
      begin: (token: Uint8Array, channel: TokenChannel) =>
        this.#begin(token, channel, { checksumsOf, ...(kept && { kept }), volume: target.volume }),
    };
    let lengthBytes = 0;
    try {
      const result = await new TokenCopy(source, target, { ...request, tokens: primaries }, kept).run();
      lengthBytes = result.lengthBytes;
      ledger.counters.bytesMoved += result.movedBytes;
      return result;
    } finally {
      if (kept !== undefined) target.checksums!.end(kept, lengthBytes);
    }
  }

  async read(token: Uint8Array, offset: number, target: Uint8Array, channel: TokenChannel): Promise<number> {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw this.#ledger.refuse("INVALID_RANGE", `${offset} is no place in a token.`);
    const use = await this.#begin(token, channel, { checksumsOf: () => [] });
    if (use === undefined) {
      target.fill(0);
      return target.length;
    }
    try {
      const inside = Math.min(target.length, Math.max(0, use.ranges.lengthBytes - offset));
      if (inside > 0) await use.verify({ offsetBytes: offset, lengthBytes: inside }, () => this.checkOpen());
      await readToken(use, offset, target.subarray(0, inside));
      target.fill(0, inside);
      return inside;
    } finally {
      await use.finish({ isUsed: false });
    }
  }

  show(token: Uint8Array, channel: TokenChannel): TokenInfo {
    this.checkOpen();
    if (this.#isZero(token)) return ZERO_INFO;
    const fields = this.#ledger.verify(token);
    const { payload } = fields;
    if (payload === undefined) {
      const slot = this.#ledger.find(fields);
      this.#ledger.checkChannel(fields, channel);
      return this.#ledger.info(slot);
    }
    this.#ledger.checkChannel(fields, channel);
    if (payload.kind === "hash") return this.hashTokens.info({ ...fields, payload });
    return {
      ...unstoredInfo(fields, this.#ledger.nowMs() >= fields.expiresAtMs),
      provider: "checksum",
      source: `companion of ${Buffer.from(payload.primaryId).toString("hex")}`,
    };
  }

  async revoke(token: Uint8Array, revocation: Revocation): Promise<void> {
    this.checkOpen();
    const ledger = this.#ledger;
    if (this.#isZero(token)) throw ledger.refuse("TOKEN_UNSUPPORTED", "The token of zeros has no end.");
    const fields = ledger.verify(token);
    switch (fields.payload?.kind) {
      case "hash":
        if (revocation.strength === "hint") return;
        throw ledger.refuse(
          "TOKEN_UNSUPPORTED",
          "Nothing is stored for a hash token, so it ends only with its time or its data.",
        );
      case "checksum":
        // It is nothing without its primary, which has an end of its own.
        return;
      case undefined:
        await ledger.revoke(ledger.find(fields), revocation);
    }
  }

  async revokeId(id: string, revocation: Revocation): Promise<void> {
    this.checkOpen();
    await this.#ledger.revoke(this.#ledger.findId(id), revocation);
  }

  /** Runs stop; resolves when they have. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([this.#ledger.close(), this.hashTokens.allFinished()]);
  }

  checkOpen(): void {
    const error = this.#closingError();
    if (error !== undefined) throw error;
  }

  #closingError(): RopewalkError | undefined {
    return this.#isClosing ? new RopewalkError("SHUTTING_DOWN", "The token room is closing.") : undefined;
  }

  #isOurs(token: Uint8Array): boolean {
    return this.#isZero(token) || this.#ledger.bytes.verify(token) !== undefined;
  }

  #isZero(token: Uint8Array): boolean {
    return token.length === TOKEN_BYTES && Buffer.compare(token, this.zeroToken) === 0;
  }

  /** Undefined: the token of zeros. */
  async #begin(
    token: Uint8Array,
    channel: TokenChannel,
    { checksumsOf, kept, volume }: CompanionUse,
  ): Promise<TokenUse | undefined> {
    this.checkOpen();
    if (this.#isZero(token)) {
      kept?.spoil();
      this.#ledger.counters.used += 1;
      return undefined;
    }
    const fields = this.#ledger.verify(token);
    switch (fields.payload?.kind) {
      case "hash":
        this.#ledger.checkChannel(fields, channel);
        kept?.spoil();
        return this.hashTokens.begin({ ...fields, payload: fields.payload }, volume);
      case "checksum":
        throw this.#ledger.refuse("TOKEN_UNSUPPORTED", "A companion gives no data.");
      case undefined:
        return this.#beginStored(fields, channel, { checksums: checksumsOf(fields), kept });
    }
  }

  async #beginStored(
    fields: TokenFields,
    channel: TokenChannel,
    companions: { checksums: readonly Uint8Array[]; kept: KeptWrite | undefined },
  ): Promise<TokenUse> {
    const ledger = this.#ledger;
    const slot = ledger.find(fields);
    ledger.checkChannel(fields, channel);
    const run = ledger.beginRun(slot);
    let content: TokenContent | undefined;
    try {
      if (run.policy === "invalidate" && (await run.backing.hasChanged(run.ranges.ranges)))
        void ledger.endOf(run, "cancelled");
      if (run.endedAs === undefined) content = await run.backing.open(run.ranges.ranges);
      if (run.endedAs !== undefined) throw run.endedAs;
      return this.#useOf(run, content!, companions);
    } catch (error) {
      content?.close();
      ledger.finishRun(run);
      throw error;
    }
  }

  #useOf(
    run: TokenRun,
    content: TokenContent,
    { checksums, kept }: { checksums: readonly Uint8Array[]; kept: KeptWrite | undefined },
  ): TokenUse {
    const ledger = this.#ledger;
    const { ranges } = run;
    return {
      ranges,
      content,
      provider: run.backing.origin.provider,
      verify: async (_part, goOn) => {
        if (checksums.length === 0) return kept?.spoil();
        const all = { offsetBytes: 0, lengthBytes: ranges.lengthBytes };
        const sums = kept?.hashing();
        const found = await hashToken({ ranges, content }, all, {
          clock: this.#clock,
          goOn,
          ...(sums && { passing: (at: number, data: Uint8Array) => sums.add(at, data) }),
        });
        if (checksums.every((checksum) => Buffer.compare(checksum, found) === 0)) return;
        throw ledger.refuse(
          "CHECKSUM_MISMATCH",
          "The token's data is not what its companion's checksum says; nothing of it was written.",
        );
      },
      stopped: () => {
        ledger.load.goesOn(run);
        return this.#closingError() ?? (ledger.settings.runningWrites === "abort" ? run.endedAs : undefined);
      },
      finish: async ({ isUsed }) => {
        content.close();
        const ended = run.deleteOnUse && isUsed ? ledger.endOf(run, "deleted") : undefined;
        ledger.finishRun(run);
        await ended;
      },
    };
  }
}

const ZERO_INFO: TokenInfo = {
  id: "0".repeat(16),
  state: "valid",
  kind: "zero",
  lengthBytes: Number.MAX_SAFE_INTEGER,
  policy: "preserve",
  persistent: true,
  deleteOnUse: false,
  priority: 0,
  createdAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  inactivityMs: 0,
  uses: 0,
  usedAtMs: 0,
  creator: "",
  provider: "zero",
  source: "zeros",
};
