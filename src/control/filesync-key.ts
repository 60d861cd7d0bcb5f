/** The key of a source and a target: 32 bytes, written as 64 hexadecimal digits. INVALID_ARGUMENT */
import { RopewalkError } from "../base/errors.ts";

export const FILESYNC_KEY_BYTES = 32;
export const FILESYNC_KEY_PATTERN = "^[0-9a-f]{64}$";
const TEXT = new RegExp(FILESYNC_KEY_PATTERN);

export function parseFilesyncKey(text: string): Uint8Array {
  if (TEXT.test(text)) return Buffer.from(text, "hex");
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    "A key has 64 hexadecimal digits, as ropewalk filesync target add made it at the target.",
  );
}

export function formatFilesyncKey(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
