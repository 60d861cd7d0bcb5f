/**
 * Tokens that outlive a restart: each has a pin of its own, whose label says what the token is.
 * Always holds: the pin is durable before the token is handed out; a label that cannot be a token of this room's key
 * is left as it is, and reported.
 */
import type { ByteRange } from "../device/mod.ts";
import { PinnedMap } from "./pinned-map.ts";
import type { PoolObject, PoolOrigin } from "./pool-origin.ts";
import type { TokenBacking } from "./token-backing.ts";
import { decodeLabel, encodeLabel, type TokenLabel } from "./token-label.ts";
import type { TokenLedger } from "./token-ledger.ts";
import { type NotedReadRequest, notesOf } from "./token-notes.ts";
import type { TokenPool } from "./token-pool.ts";
import { TokenRanges } from "./token-ranges.ts";

/** What is settled of a token before its data is bound. */
export interface TokenFacts {
  readonly id: Uint8Array;
  readonly nonce: Uint8Array;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

export interface BoundData<Backing extends TokenBacking = TokenBacking> {
  readonly backing: Backing;
  /** As many as it stands for. */
  readonly ranges: TokenRanges;
}

/** Durable when it resolves; with as many of the ranges as the label has room for. */
export async function bindPersistent(
  origin: PoolOrigin,
  { request, facts, generation }: { request: NotedReadRequest; facts: TokenFacts; generation: Uint8Array },
): Promise<BoundData<PinnedMap>> {
  const { map, objectId, uuid } = origin.object;
  const { text, ranges } = encodeLabel(
    {
      id: hex(facts.id),
      nonce: hex(facts.nonce),
      key: hex(generation),
      ...map,
      object: objectId,
      uuid,
      policy: request.policy === "invalidate" ? "invalidate" : "preserve",
      created: facts.createdAtMs,
      expires: facts.expiresAtMs,
      inactivity: request.inactivityMs,
      once: request.deleteOnUse,
      protected: request.isProtected,
      priority: request.priority,
      creator: request.creator,
      ...notesOf(request),
    },
    new TokenRanges(request.ranges).ranges,
  );
  return { backing: await origin.bindPersistent(text, request.priority), ranges: new TokenRanges(ranges) };
}

export interface RestoreOptions {
  readonly pool: TokenPool;
  readonly ledger: TokenLedger;
  readonly originOf: (object: PoolObject) => PoolOrigin;
  readonly report: (sentence: string) => void;
  /** Known bugs to plant. */
  readonly plants: ReadonlySet<string>;
}

/** Takes up the tokens that the pool's labelled pins describe; pins of those whose time is over are given back. */
export async function restorePersistent(options: RestoreOptions): Promise<void> {
  const { pool, ledger, report } = options;
  for (const { id: pin, label: text, sizeBytes } of pool.pins()) {
    const decoded = decodeLabel(text);
    if (decoded === undefined) continue;
    const problem = decoded === "malformed" ? "cannot be understood" : problemOf(decoded, ledger, sizeBytes);
    if (decoded === "malformed" || problem !== undefined) {
      report(`Pin ${pin} of a persistent token ${problem}; it is left as it is.`);
      continue;
    }
    if (decoded.label.expires <= ledger.nowMs() && !options.plants.has("token-forgotten-expiry")) {
      ledger.counters.expired += 1;
      await pool.unpin(pin);
      continue;
    }
    restore(decoded, pin, options);
  }
}

function problemOf(
  { label, ranges }: { label: TokenLabel; ranges: ByteRange[] },
  ledger: TokenLedger,
  sizeBytes: number,
): string | undefined {
  if (label.key !== hex(ledger.bytes.generation)) return "was made with another key";
  if (!ledger.isFree(Buffer.from(label.id, "hex"))) return "has the id of another";
  return new TokenRanges(ranges).isInside(sizeBytes) ? undefined : "stands for more than there is";
}

function restore(
  { label, ranges }: { label: TokenLabel; ranges: ByteRange[] },
  pin: number,
  { ledger, originOf, plants }: RestoreOptions,
): void {
  const { volume, snapshot, object: objectId, uuid } = label;
  const map = snapshot === undefined ? { volume } : { volume, snapshot };
  ledger.add(
    {
      id: Buffer.from(label.id, "hex"),
      nonce: Buffer.from(label.nonce, "hex"),
      ranges: new TokenRanges(ranges),
      policy: label.policy,
      createdAtMs: label.created,
      expiresAtMs: plants.has("token-forgotten-expiry") ? label.expires + 3_600_000 : label.expires,
      inactivityMs: label.inactivity,
      persistent: true,
      deleteOnUse: label.once,
      isProtected: label.protected,
      priority: label.priority,
      creator: label.creator,
      notes: notesOf(label),
    },
    new PinnedMap({ origin: originOf({ map, objectId, uuid }), pin, isPersistent: true, sequence: -1 }),
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
