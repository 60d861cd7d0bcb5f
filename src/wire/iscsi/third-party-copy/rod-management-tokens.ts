/**
 * The answer of REPORT ALL ROD TOKENS (SPC-4, 6.26): of each token what identifies it, and nothing that would let one use it.
 *
 * Always holds: 96 bytes a token, the beginning of a ROD token; the rest, where the secret is, never leaves.
 *
 * | byte  | field                                      |
 * | ----- | ------------------------------------------ |
 * | 0–3   | ROD type                                   |
 * | 6–7   | 01F8h                                      |
 * | 8–15  | copy manager's token id                    |
 * | 16–47 | creator's logical unit: not told           |
 * | 48–63 | bytes represented                          |
 */
import { ROD_TOKEN_LENGTH_FIELD } from "./constants.ts";

export interface RodManagementToken {
  readonly rodType: number;
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly lengthBytes: number;
}

const MANAGEMENT_TOKEN_BYTES = 96;
const HEADER_BYTES = 8;

export function encodeRodManagementTokens(tokens: readonly RodManagementToken[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + tokens.length * MANAGEMENT_TOKEN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  tokens.forEach((token, index) => {
    const at = HEADER_BYTES + index * MANAGEMENT_TOKEN_BYTES;
    view.setUint32(at, token.rodType);
    view.setUint16(at + 6, ROD_TOKEN_LENGTH_FIELD);
    view.setBigUint64(at + 8, BigInt(`0x${token.id}`));
    view.setBigUint64(at + 56, BigInt(token.lengthBytes));
  });
  return bytes;
}
