/** The admin key's file: 16 to 256 printable characters; one that is made here has 256 random bits. */
import type { Random } from "../ports/mod.ts";
import { type KeyFile, openKeyFile } from "./key-file.ts";

const KEY_BYTES = 32;

/** DATA_DIRECTORY, INVALID_CONFIG */
export function openAdminKey(path: string, random: Random): Promise<KeyFile> {
  return openKeyFile(path, {
    name: "admin key",
    pattern: /^[\x21-\x7e]{16,256}$/,
    form: "16 to 256 printable characters",
    make: () => Buffer.from(random.bytes(KEY_BYTES)).toString("base64url"),
  });
}
