/** The token key's file: the 32 bytes, in hexadecimal, that the MACs of all tokens are made with. */
import type { Random } from "../ports/mod.ts";
import { openKeyFile } from "./key-file.ts";

const KEY_BYTES = 32;

export interface TokenKey {
  readonly key: Uint8Array;
  /** Others than the owner may read the file. */
  readonly isExposed: boolean;
}

/** DATA_DIRECTORY, INVALID_CONFIG */
export async function openTokenKey(path: string, random: Random): Promise<TokenKey> {
  const { key, isExposed } = await openKeyFile(path, {
    name: "token key",
    pattern: /^[0-9a-f]{64}$/,
    form: "64 hexadecimal digits",
    make: () => Buffer.from(random.bytes(KEY_BYTES)).toString("hex"),
  });
  return { key: Buffer.from(key, "hex"), isExposed };
}
