/**
 * Whether two designation descriptors (SPC-4, 7.8.5.2) name the same: how a unit is found that EXTENDED COPY names.
 * Always holds: code set, association, type and designator count; protocol identifier and reserved bits do not.
 */

export function isSameDesignator(a: Uint8Array, b: Uint8Array): boolean {
  const lengthBytes = 4 + (a[3] ?? 0);
  if (a.length < lengthBytes || b.length < lengthBytes || a[3] !== b[3]) return false;
  if (((a[0] as number) & 0x0f) !== ((b[0] as number) & 0x0f)) return false;
  if (((a[1] as number) & 0x3f) !== ((b[1] as number) & 0x3f)) return false;
  for (let at = 4; at < lengthBytes; at++) if (a[at] !== b[at]) return false;
  return true;
}
