// Listings and extended attributes: what two ends compare is the same bytes for the same files.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { extended, fileAttributes, listingEntry } from "../../../test/support/filesync-arbitraries.ts";
import { Prng } from "../../base/prng.ts";
import type { FileAttributes } from "../../ports/mod.ts";
import { extendedHash, packExtended, readExtended } from "./extended-attributes.ts";
import { isSameCompared, type ListingEntry, ListingWriter, linkHash, readListing } from "./listing.ts";
import { assertInside, mutated, parsedOrRefused, refusedWith } from "./testing/hostile-bytes.ts";

const refused = { code: "PROTOCOL_ERROR" };
const NONE = new Uint8Array(0);
const attributes: FileAttributes = {
  kind: "file",
  mode: 0o640,
  userId: 1,
  groupId: 2,
  sizeBytes: 3,
  modifiedSeconds: 4,
  modifiedNanoseconds: 5,
  changedSeconds: 6,
  changedNanoseconds: 7,
  links: 8,
  inode: 9,
  device: 10,
  deviceNode: 0,
  extendedHash: 11,
};
const entries = fc.uniqueArray(listingEntry, { selector: ({ name }) => name, maxLength: 10 });

function listed(entries: readonly ListingEntry[]) {
  const writer = new ListingWriter();
  for (const entry of entries) writer.add(entry);
  return writer.finish();
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one, "latin1"), Buffer.from(other, "latin1"));
}

test("a listing gives back its entries sorted by bytes, with their sums", () => {
  fc.assert(
    fc.property(entries, (entries) => {
      const finished = listed(entries);
      const sorted = entries.toSorted((one, other) => byBytes(one.name, other.name));
      assert.deepEqual(readListing(finished.listing), sorted);
      assert.equal(finished.entries, entries.length);
      const files = entries.filter((entry) => entry.attributes.kind === "file");
      const bytes = files.reduce((sum, file) => sum + file.attributes.sizeBytes, 0);
      assert.equal(finished.fileBytes, Math.min(bytes, Number.MAX_SAFE_INTEGER));
      const directories = sorted.filter((entry) => entry.attributes.kind === "directory");
      assert.deepEqual(
        finished.directories,
        directories.map(({ name }) => name),
      );
    }),
    { numRuns: 1000 },
  );
});

test("the order in which entries were added, and what is not compared, do not change the digest", () => {
  fc.assert(
    fc.property(entries, fileAttributes, (entries, other) => {
      const { changedSeconds, changedNanoseconds, inode, device } = other;
      const own = { changedSeconds, changedNanoseconds, inode, device };
      const elsewhere = entries.map((entry) => ({ ...entry, attributes: { ...entry.attributes, ...own } }));
      assert.deepEqual(listed(elsewhere.toReversed()).digest, listed(entries).digest);
      for (const [index, entry] of entries.entries()) assert.ok(isSameCompared(entry, elsewhere[index]!));
    }),
  );
});

test("whatever is compared changes the digest and the comparison of entries", () => {
  const entry: ListingEntry = { name: "n", attributes, linkHash: 0 };
  const device: ListingEntry = {
    ...entry,
    attributes: { ...attributes, kind: "block", deviceNode: 1, sizeBytes: 0 },
  };
  const link: ListingEntry = {
    ...entry,
    attributes: { ...attributes, kind: "symlink" },
    linkHash: linkHash("a"),
  };
  const pairs: [ListingEntry, ListingEntry][] = [
    [entry, { ...entry, name: "m" }],
    [entry, { ...entry, attributes: { ...attributes, kind: "symlink" } }],
    [device, { ...device, attributes: { ...device.attributes, deviceNode: 2 ** 32 } }],
    [link, { ...link, linkHash: linkHash("b") }],
  ];
  for (const key of [
    "mode",
    "userId",
    "groupId",
    "sizeBytes",
    "modifiedSeconds",
    "modifiedNanoseconds",
    "extendedHash",
  ] as const)
    pairs.push([entry, { ...entry, attributes: { ...attributes, [key]: attributes[key] + 256 } }]);
  for (const [one, other] of pairs) {
    assert.ok(isSameCompared(one, one) && !isSameCompared(one, other), JSON.stringify(other));
    assert.notDeepEqual(listed([one]).digest, listed([other]).digest, JSON.stringify(other));
  }
});

test("that a name is not the only one of its file changes the digest, and no comparison of entries", () => {
  const alone: ListingEntry = { name: "n", attributes: { ...attributes, links: 1 }, linkHash: 0 };
  const linked: ListingEntry = { ...alone, attributes: { ...attributes, links: 2 } };
  const oftenLinked: ListingEntry = { ...alone, attributes: { ...attributes, links: 3 } };
  assert.notDeepEqual(listed([alone]).digest, listed([linked]).digest);
  assert.deepEqual(listed([linked]).digest, listed([oftenLinked]).digest);
  assert.ok(isSameCompared(alone, linked));
});

test("the size of a directory says nothing and is not compared", () => {
  const one: ListingEntry = {
    name: "d",
    attributes: { ...attributes, kind: "directory", sizeBytes: 4096 },
    linkHash: 0,
  };
  const other: ListingEntry = { ...one, attributes: { ...one.attributes, sizeBytes: 20 } };
  assert.deepEqual(listed([one]).digest, listed([other]).digest);
  assert.ok(isSameCompared(one, other));
  assert.equal(readListing(listed([one]).listing)[0]!.attributes.sizeBytes, 0);
});

test("the bytes of a listing and its digest are those of the document", () => {
  const { listing, digest } = listed([{ name: "\xe4b", attributes, linkHash: 0 }]);
  const compared =
    "01 00 a001 01000000 02000000 05000000 0400000000000000 0300000000000000 0000000000000000 0b000000 00000000 01 02 e462";
  const own = "0600000000000000 07000000 08000000 0900000000000000 0a00000000000000";
  const hex = `01000000 34000000 ${compared} ${own}`.replaceAll(" ", "");
  assert.equal(Buffer.from(listing).toString("hex"), hex);
  assert.equal(digest.length, 16);
  // XXH3-128 of nothing, by the algorithm's own examples.
  assert.equal(Buffer.from(listed([]).digest).toString("hex"), "99aa06d3014798d86001c324468d497f");
});

test("the root stands in a listing of its own, with the empty name, and nowhere else", () => {
  const root: ListingEntry = {
    name: "",
    attributes: { ...attributes, kind: "directory", sizeBytes: 0 },
    linkHash: 0,
  };
  const finished = listed([root]);
  assert.deepEqual(readListing(finished.listing), [root]);
  assert.deepEqual(finished.directories, []);
  assert.throws(() => listed([root, { ...root, name: "a" }]), { code: "INVALID_ARGUMENT" });
  const asFile = new Uint8Array(finished.listing);
  asFile[8] = 1;
  assert.throws(() => readListing(asFile), refused);
});

test("names that are no names, are there twice or not in order are refused", () => {
  for (const name of [".", "..", "a/b", "a\0", "n".repeat(256), "\u0100"])
    assert.throws(() => listed([{ name, attributes, linkHash: 0 }]), { code: "INVALID_ARGUMENT" }, name);
  const two = listed([
    { name: "a", attributes, linkHash: 0 },
    { name: "b", attributes, linkHash: 0 },
  ]).listing;
  const compared = 50;
  for (const [first, second] of ["ba", "aa", "./", "a.", "\0a"]) {
    const bytes = Buffer.from(two);
    bytes.write(first!, 8 + compared - 1, "latin1");
    bytes.write(second!, 8 + 2 * compared - 1, "latin1");
    assert.throws(() => readListing(bytes), refused, `${first} ${second}`);
  }
});

test("a listing of one directory, a directory's size and a file's hash of a link are held to their limits", () => {
  const directory: ListingEntry = {
    name: "d",
    attributes: { ...attributes, kind: "directory" },
    linkHash: 0,
  };
  const named = Buffer.from(listed([directory]).listing);
  named.write(".", 8 + 50, "latin1");
  assert.throws(() => readListing(named), refusedWith('"." is no name of a file'));
  const sized = Buffer.from(listed([directory]).listing);
  sized[8 + 24] = 1;
  assert.throws(() => readListing(sized), refusedWith("a directory has a size"));
  const hashed = listed([{ name: "f", attributes, linkHash: 7 }]).listing;
  assert.throws(() => readListing(hashed), refusedWith("a file has the hash of a symbolic link's target"));
});

test("a listing that is cut off or too long by a byte is refused", () => {
  const sample = fc.sample(
    entries.filter((some) => some.length > 3),
    { numRuns: 1, seed: 5 },
  )[0]!;
  const { listing } = listed(sample);
  for (let length = 0; length < listing.length; length++)
    assert.throws(() => readListing(listing.subarray(0, length)), refused, `${length} bytes`);
  assert.throws(() => readListing(Buffer.concat([listing, Buffer.alloc(1)])), refused);
});

test("no bytes make the reader of listings fail otherwise than by refusing, nor name what is no entry", () => {
  const prng = new Prng(22);
  const listings = fc.sample(entries, { numRuns: 200, seed: 3 }).map((some) => listed(some).listing);
  let read = 0;
  for (let run = 0; run < 100_000; run++) {
    const bytes = mutated(listings[run % listings.length]!, prng);
    const parsed = parsedOrRefused(() => readListing(bytes));
    if (parsed === undefined) continue;
    read++;
    for (const { name } of parsed) {
      assertInside(name);
      assert.ok(!name.includes("/") && (name !== "" || parsed.length === 1));
    }
    assert.deepEqual(listed(parsed).entries, parsed.length);
  }
  assert.ok(read > 5_000 && read < 95_000, `${read} of 100,000 were read`);
});

test("extended attributes are packed in one way only and hash to 0 only where there are none", () => {
  fc.assert(
    fc.property(extended, (packed) => {
      const attributes = readExtended(packed);
      assert.deepEqual(packExtended(attributes.toReversed()), packed);
      assert.equal(extendedHash(packed) === 0, attributes.length === 0);
      for (let length = 1; length < packed.length; length++)
        assert.throws(() => readExtended(packed.subarray(0, length)), refused);
    }),
  );
  assert.equal(packExtended([]).length, 0);
});

test("extended attributes are held to their limits by writer and reader", () => {
  const value = new Uint8Array(65_536);
  const many = (count: number, value: Uint8Array) =>
    Array.from({ length: count }, (_, index) => ({ name: `user.${index}`, value }));
  assert.equal(readExtended(packExtended(many(256, NONE))).length, 256);
  assert.deepEqual(readExtended(packExtended([{ name: "user.a", value }])), [{ name: "user.a", value }]);
  assert.throws(() => packExtended(many(257, NONE)), { code: "TOO_LARGE" });
  assert.throws(() => packExtended(many(1, new Uint8Array(65_537))), { code: "TOO_LARGE" });
  assert.throws(() => packExtended(many(16, value)), { code: "TOO_LARGE" });
  for (const name of ["", "n".repeat(256), "a\0", "\u0100"])
    assert.throws(() => packExtended([{ name, value }]), { code: "INVALID_ARGUMENT" });
  assert.throws(() => packExtended([...many(1, NONE), ...many(1, NONE)]), { code: "INVALID_ARGUMENT" });

  const wrong: [sentence: string, string][] = [
    ["0 names, not 1 to 256", "0000"],
    ["257 names, not 1 to 256", "0101"],
    ["a name is empty or has a NUL in it", "0100 00 00000000"],
    ["65537 bytes of a value, more than 65536", "0100 01 01000100 61"],
    ["names are not in order", "0200 01 00000000 62 01 00000000 61"],
    ["names are not in order", "0200 01 00000000 61 01 00000000 61"],
    ["a name is empty or has a NUL in it", "0100 01 00000000 00"],
    ["1 bytes too many", "0100 01 00000000 61 00"],
  ];
  for (const [sentence, hex] of wrong)
    assert.throws(() => readExtended(Buffer.from(hex.replaceAll(" ", ""), "hex")), refusedWith(sentence));
  assert.throws(
    () => readExtended(new Uint8Array(1024 * 1024 + 1)),
    refusedWith("1048577 bytes, more than 1048576"),
  );
});
