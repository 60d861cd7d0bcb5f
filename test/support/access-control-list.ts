// ACLs in the kernel's form: version 2, then tag, permissions and id of each entry.

const VERSION = 2;
const NOBODY = 0xffffffff;

/** `linux/posix_acl_xattr.h`. */
const Tag = { owner: 0x01, user: 0x02, group: 0x04, mask: 0x10, others: 0x20 } as const;

export interface AccessControlEntry {
  readonly tag: keyof typeof Tag;
  /** 0 to 7. */
  readonly permissions: number;
  /** Of a `user`. */
  readonly id?: number;
}

/** Entries in the order of their tags, as the kernel wants them. */
export function accessControlList(...entries: readonly AccessControlEntry[]): Uint8Array {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [index, { tag, permissions, id = NOBODY }] of entries.entries()) {
    bytes.writeUInt16LE(Tag[tag], 4 + 8 * index);
    bytes.writeUInt16LE(permissions, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

/** Of the owner everything, of others nothing. */
export function groupAccess(permissions: number): Uint8Array {
  return accessControlList(
    { tag: "owner", permissions: 7 },
    { tag: "group", permissions },
    { tag: "others", permissions: 0 },
  );
}
