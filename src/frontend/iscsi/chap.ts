/**
 * CHAP with MD5 (RFC 7143, 12.1.3; RFC 1994), one way or mutual, as the target's side of a login.
 *
 * Always holds: a challenge of ours is used once; an unknown user and a wrong secret are refused alike; an initiator
 * that hands our own challenge back is refused. Every failure is `failed`, without a reason.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Random } from "../../ports/mod.ts";
import { hexText, type TextPair, textBytes, textNumber } from "../../wire/iscsi/mod.ts";
import type { ChapAccount, ChapAccounts } from "./target-table.ts";

const MD5 = "5";
const CHALLENGE_BYTES = 16;
/** 12.1.3 */
const CHALLENGE_BYTES_MAX = 1024;
const MD5_BYTES = 16;

export type ChapAnswer =
  | { readonly kind: "failed" }
  | { readonly kind: "going-on" | "done"; readonly pairs: readonly TextPair[] };

const FAILED: ChapAnswer = { kind: "failed" };

export class ChapExchange {
  readonly #accounts: ChapAccounts;
  readonly #random: Random;
  #challenge: Uint8Array | undefined;
  #identifier = 0;

  constructor(accounts: ChapAccounts, random: Random) {
    this.#accounts = accounts;
    this.#random = random;
  }

  /** Takes the CHAP keys of a login request. */
  take(keys: ReadonlyMap<string, string>): ChapAnswer {
    return this.#challenge === undefined ? this.#begin(keys) : this.#verify(keys, this.#challenge);
  }

  #begin(keys: ReadonlyMap<string, string>): ChapAnswer {
    const algorithms = keys.get("CHAP_A");
    if (algorithms === undefined || keys.size !== 1 || !algorithms.split(",").includes(MD5)) return FAILED;
    this.#identifier = this.#random.bytes(1)[0]!;
    this.#challenge = this.#random.bytes(CHALLENGE_BYTES);
    const pairs: TextPair[] = [
      ["CHAP_A", MD5],
      ["CHAP_I", String(this.#identifier)],
      ["CHAP_C", hexText(this.#challenge)],
    ];
    return { kind: "going-on", pairs };
  }

  #verify(keys: ReadonlyMap<string, string>, challenge: Uint8Array): ChapAnswer {
    const user = keys.get("CHAP_N");
    const response = textBytes(keys.get("CHAP_R") ?? "", MD5_BYTES);
    if (user === undefined || response?.length !== MD5_BYTES) return FAILED;
    const account = this.#accounts.incoming.find((candidate) => candidate.user === user);
    // An unknown user costs as much time as a wrong secret.
    const secret = account?.secret ?? this.#accounts.incoming[0]!.secret;
    const isRight = timingSafeEqual(chapResponse(this.#identifier, secret, challenge), response);
    if (!isRight || account === undefined) return FAILED;
    const identifier = keys.get("CHAP_I");
    const theirs = keys.get("CHAP_C");
    if (identifier === undefined && theirs === undefined) return { kind: "done", pairs: [] };
    return this.#prove(textNumber(identifier ?? ""), textBytes(theirs ?? "", CHALLENGE_BYTES_MAX), challenge);
  }

  /** Answers the initiator's own challenge. */
  #prove(identifier: number | undefined, theirs: Uint8Array | undefined, ours: Uint8Array): ChapAnswer {
    const account: ChapAccount | undefined = this.#accounts.outgoing;
    if (account === undefined || identifier === undefined || identifier > 255) return FAILED;
    if (theirs === undefined || Buffer.compare(theirs, ours) === 0) return FAILED;
    const pairs: TextPair[] = [
      ["CHAP_N", account.user],
      ["CHAP_R", hexText(chapResponse(identifier, account.secret, theirs))],
    ];
    return { kind: "done", pairs };
  }
}

/** What somebody who knows the secret answers to a challenge. */
export function chapResponse(identifier: number, secret: string, challenge: Uint8Array): Uint8Array {
  return createHash("md5")
    .update(Uint8Array.of(identifier))
    .update(secret, "utf8")
    .update(challenge)
    .digest();
}
