/** Offsets and lengths as options give them: sizes as everywhere, and nothing where the option is absent. */
import { parseSize } from "../base/size-text.ts";

/** `key` with the bytes that `text` says, to be spread into a request. INVALID_SIZE */
export function bytesOption<Key extends string>(
  key: Key,
  text: string | undefined,
): { readonly [name in Key]?: number } {
  return (text === undefined ? {} : { [key]: parseSize(text) }) as { readonly [name in Key]?: number };
}
