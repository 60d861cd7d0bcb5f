/**
 * The library's calls about tokens: bytes in, bytes out; base64 is only how they travel.
 *
 * Always holds: whatever gave a token may be handed to every other call, whole or taken apart; data that breaks off
 * is an error, never shorter data. Errors: the TOKEN_ codes, UNSUPPORTED, INVALID_ARGUMENT.
 */
import type {
  CreateTokenJson,
  MadeTokenJson,
  ShownTokensJson,
  TokenJson,
  TokenWrittenJson,
} from "../frontend/http/mod.ts";
import { type ApiCaller, failedCall } from "./api-call.ts";

export interface TokenPart {
  /** 512 bytes. */
  readonly token: Uint8Array;
  /** Where in the data of all of them this token's first byte is. */
  readonly dataOffsetBytes: number;
  readonly lengthBytes: number;
  /** Several primary tokens for the same data are alternatives; a companion goes along with one. */
  readonly role: "primary" | "companion";
}

export interface MadeToken {
  /** To be kept and handed on: a token of 512 bytes, or a token file with several. */
  readonly token: Uint8Array;
  /** How much of what was asked for it stands for; ask again for the rest. */
  readonly lengthBytes: number;
  /** What is in it, for those who pick, drop or reorder. */
  readonly tokens: readonly TokenPart[];
}

/** A token, a token file, or tokens taken out of one. */
export type GivenToken = Uint8Array | readonly TokenPart[];

/** A token by the id that the list shows, which is good for ending it and for nothing else. */
export interface TokenId {
  /** 16 hexadecimal digits. */
  readonly id: string;
}

/** What is left out goes on where the piece before ended. */
export interface WriteTokenPiece {
  readonly tokenOffsetBytes?: number | undefined;
  readonly offsetBytes?: number | undefined;
  /** All that the token holds from there when absent. */
  readonly lengthBytes?: number | undefined;
}

export interface WriteTokenOptions {
  readonly volume: string;
  /** Where in the token's data to begin; 0. */
  readonly tokenOffsetBytes?: number | undefined;
  /** Where in the volume to begin; 0. */
  readonly offsetBytes?: number | undefined;
  /** All that the token holds from there when absent. */
  readonly lengthBytes?: number | undefined;
  /** Instead of the three: up to 1,024 pieces, written in this order; the first that fails ends the call. */
  readonly pieces?: readonly WriteTokenPiece[] | undefined;
  /** Cancels; what was written stays. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadTokenOptions {
  readonly offsetBytes?: number | undefined;
  /** To the token's end when absent. */
  readonly lengthBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export async function createToken(caller: ApiCaller, wish: CreateTokenJson): Promise<MadeToken> {
  const { token, lengthBytes, tokens } = await caller.call<MadeTokenJson>("POST", "/tokens", { body: wish });
  return {
    token: fromBase64(token),
    lengthBytes,
    tokens: tokens.map((part) => {
      return { ...part, token: fromBase64(part.token) };
    }),
  };
}

export function listTokens(caller: ApiCaller): Promise<TokenJson[]> {
  return caller.call("GET", "/tokens");
}

export function showToken(caller: ApiCaller, token: GivenToken): Promise<ShownTokensJson> {
  return caller.call("POST", "/tokens/show", { body: given(token) });
}

export async function* readToken(
  caller: ApiCaller,
  token: GivenToken,
  { signal, ...range }: ReadTokenOptions,
): AsyncGenerator<Uint8Array> {
  const body = { ...given(token), ...range };
  const response = await caller.open("POST", "/tokens/read", { body, signal });
  try {
    for await (const piece of response.body ?? []) yield piece as Uint8Array;
  } catch (cause) {
    throw failedCall(response.url, cause);
  }
}

export function writeToken(
  caller: ApiCaller,
  token: GivenToken,
  { signal, ...range }: WriteTokenOptions,
): Promise<TokenWrittenJson> {
  return caller.call("POST", "/tokens/write", { body: { ...given(token), ...range }, signal });
}

export async function revokeToken(
  caller: ApiCaller,
  token: GivenToken | TokenId,
  { strength }: { strength: "mandatory" | "hint" },
): Promise<void> {
  const which = "id" in token ? { id: token.id } : given(token);
  await caller.call("POST", "/tokens/revoke", { body: { ...which, strength } });
}

function given(token: GivenToken): object {
  if (token instanceof Uint8Array) return { token: toBase64(token) };
  return {
    tokens: token.map((part) => {
      return { ...part, token: toBase64(part.token) };
    }),
  };
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
