/** An ACL in the kernel's form: version 2, then tag, permissions and id of each entry. */

const VERSION = 2;
const ANYBODY = 0xffffffff;
const Tag = { owner: 0x01, group: 0x04, others: 0x20 } as const;

/** Of the owner everything, of the group `group` (0 to 7), of others nothing. */
export function accessControlList(group: number): Uint8Array {
  const entries = [
    [Tag.owner, 7],
    [Tag.group, group],
    [Tag.others, 0],
  ] as const;
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [index, [tag, permissions]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(permissions, 6 + 8 * index);
    bytes.writeUInt32LE(ANYBODY, 8 + 8 * index);
  }
  return bytes;
}
