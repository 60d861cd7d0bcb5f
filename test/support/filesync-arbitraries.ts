/** What fast-check draws for tests of file replication's protocol: values that may go over the wire, with their limits reached. */
import fc from "fast-check";
import type { FileAttributes, FileFailure, FileKind } from "../../src/ports/mod.ts";
import {
  type ContentExtent,
  type Hello,
  isWireName,
  type ListingEntry,
  type Operation,
  PROTOCOL_VERSION,
  packExtended,
  TIME_STEPS,
  type Welcome,
  type WireAttributes,
} from "../../src/wire/filesync/mod.ts";

/** Like what the codecs hand out, the values have the usual prototype. */
export function record<Value>(
  model: { [Key in keyof Value]: fc.Arbitrary<Value[Key]> },
): fc.Arbitrary<Value> {
  return fc.record(model, { noNullPrototype: true });
}

const byte = fc.integer({ min: 1, max: 255 }).map((value) => String.fromCharCode(value));
export const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** From 0 to 2^53 - 1, often at the ends and around 2^32. */
export const size = fc.oneof(
  fc.integer({ min: 0, max: 70_000 }),
  fc.maxSafeNat(),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);
const seconds = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-1, 0, -(2 ** 31), -(2 ** 32)));
const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });

export const name = fc
  .oneof(
    fc.string({ unit: byte, minLength: 1, maxLength: 12 }),
    fc.string({ unit: byte, minLength: 250, maxLength: 255 }),
    fc.constantFrom("...", " ", "a\nb", ".a", "a.", "\xff", "-"),
  )
  .filter(isWireName);
export const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => names.join("/"));
export const pathOrRoot = fc.oneof({ weight: 5, arbitrary: path }, { weight: 1, arbitrary: fc.constant("") });

/** Plain: what the codecs hand out is no Buffer. */
export const content = (max: number) =>
  fc.uint8Array({ maxLength: max }).map((bytes) => new Uint8Array(bytes));
export const fixed = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => new Uint8Array(bytes));

export const extended = fc
  .uniqueArray(record({ name: fc.string({ unit: byte, minLength: 1, maxLength: 20 }), value: content(40) }), {
    selector: (attribute) => attribute.name,
    maxLength: 4,
  })
  .map(packExtended);

const kinds: readonly FileKind[] = ["file", "directory", "symlink", "fifo", "socket", "character", "block"];

function wireAttributes(...of: FileKind[]): fc.Arbitrary<WireAttributes> {
  return record({
    kind: fc.constantFrom(...of),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    userId: u32,
    groupId: u32,
    sizeBytes: size,
    modifiedSeconds: seconds,
    modifiedNanoseconds: nanoseconds,
    deviceNode: size,
  }).map((attributes) => {
    const isDevice = attributes.kind === "character" || attributes.kind === "block";
    return isDevice ? attributes : { ...attributes, deviceNode: 0 };
  });
}

export const fileAttributes: fc.Arbitrary<FileAttributes> = fc
  .tuple(
    wireAttributes(...kinds),
    record({
      changedSeconds: seconds,
      changedNanoseconds: nanoseconds,
      links: u32,
      // Above 2^53 whatever a double can be.
      inode: fc.oneof(size, fc.constant(2 ** 63), fc.constant(2 ** 64 - 2048)),
      device: size,
      extendedHash: u32,
    }),
  )
  .map(([wire, own]) => {
    const hasSize = wire.kind === "file" || wire.kind === "symlink";
    return { ...wire, ...own, sizeBytes: hasSize ? wire.sizeBytes : 0 };
  });

/** Extents in order inside a file, and the size that they need. */
const extents: fc.Arbitrary<{ extents: ContentExtent[]; sizeBytes: number }> = fc
  .tuple(
    fc.array(record({ gap: fc.integer({ min: 0, max: 2 ** 40 }), bytes: content(50) }), { maxLength: 4 }),
    fc.integer({ min: 0, max: 10_000 }),
  )
  .map(([pieces, behind]) => {
    let end = 0;
    const placed: ContentExtent[] = [];
    for (const { gap, bytes } of pieces) {
      if (bytes.length === 0) continue;
      placed.push({ offset: end + gap, bytes });
      end += gap + bytes.length;
    }
    return { extents: placed, sizeBytes: end + behind };
  });

const described = (...of: FileKind[]) => ({ path, attributes: wireAttributes(...of), extended });

export const fileOperation: fc.Arbitrary<Operation & { op: "file" }> = fc
  .tuple(record(described("file")), extents)
  .map(([file, { extents, sizeBytes }]) => ({
    op: "file",
    ...file,
    attributes: { ...file.attributes, sizeBytes },
    extents,
  }));

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  fileOperation,
  record({ op: fc.constant("makeDirectory" as const), ...described("directory"), path: pathOrRoot }),
  record({
    op: fc.constant("symlink" as const),
    ...described("symlink"),
    target: fc.string({ unit: byte, minLength: 1, maxLength: 40 }),
  }),
  record({ op: fc.constant("special" as const), ...described("fifo", "socket", "character", "block") }),
  record({ op: fc.constant("link" as const), path, existing: path }),
  record({ op: fc.constant("rename" as const), from: path, to: path }),
  record({ op: fc.constant("remove" as const), path, recursive: fc.boolean() }),
  record({ op: fc.constant("attributes" as const), ...described(...kinds), path: pathOrRoot }),
  record({ op: fc.constant("truncate" as const), path, sizeBytes: size }),
  record({
    op: fc.constant("writeRange" as const),
    path,
    offset: fc.integer({ min: 0, max: 2 ** 50 }),
    bytes: content(60),
  }),
);

export const listingEntry: fc.Arbitrary<ListingEntry> = record({
  name,
  attributes: fileAttributes,
  linkHash: u32,
}).map((entry) => (entry.attributes.kind === "symlink" ? entry : { ...entry, linkHash: 0 }));

export const failure: fc.Arbitrary<FileFailure> = record({
  path: pathOrRoot,
  errno: fc.constantFrom("ENOENT", "EACCES", "E2BIG", "UNKNOWN"),
  doing: fc.constantFrom("open", "rename", ""),
});

export const hello: fc.Arbitrary<Hello> = record({
  version: fc.constant(PROTOCOL_VERSION),
  connection: fc.integer({ min: 0, max: 15 }),
  more: fc.integer({ min: 1, max: 16 }),
  target: fc.constantFrom("t", "backup-2", `a${"b".repeat(62)}`),
  synchronization: fixed(16),
  nonce: fixed(32),
  modes: fc.subarray(["full", "incremental", "attributes"] as const),
  deletes: fc.constantFrom("mirror" as const, "keep" as const, "trash" as const),
  sourceHost: fc.string({ unit: "binary", maxLength: 300 }),
  sourceDirectory: fc.string({ unit: "grapheme", maxLength: 60 }),
  mac: fixed(32),
}).map(({ connection, more, ...rest }) => ({
  ...rest,
  role: connection === 0 ? "main" : "sync",
  connection,
  connections: Math.min(16, connection + more),
}));

export const welcome: fc.Arbitrary<Welcome> = record({
  version: fc.constant(PROTOCOL_VERSION),
  mac: fixed(32),
  abilities: record({
    extendedAttributes: fc.boolean(),
    accessControlLists: fc.boolean(),
    deviceNodes: fc.boolean(),
    ownership: fc.boolean(),
    foldsCase: fc.boolean(),
    modeBits: fc.integer({ min: 0, max: 0o7777 }),
    timeStepNanoseconds: fc.constantFrom(...TIME_STEPS),
    nameBytesMax: fc.integer({ min: 1, max: 255 }),
    freeBytes: size,
  }),
});
