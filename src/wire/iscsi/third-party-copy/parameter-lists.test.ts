// The parameter lists of token copies and EXTENDED COPY: what is read, what is refused, and that nothing else happens.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  blockSegment,
  extendedCopyLid1List,
  extendedCopyLid4List,
  identificationCscd,
  populateTokenList,
  writeUsingTokenList,
} from "../../../../test/support/copy-commands.ts";
import { CheckCondition } from "../scsi/mod.ts";
import {
  type BlockRange,
  parseExtendedCopyLid1,
  parseExtendedCopyLid4,
  parsePopulateToken,
  parseWriteUsingToken,
  type RangeLimits,
} from "./mod.ts";

const limits: RangeLimits = { capacityBlocks: 1_000, rangesMax: 70, totalBlocksMax: 500 };
const copyLimits = { cscdsMax: 4, segmentsMax: 8 };
const ROD_TYPE = 0x00800000;

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof CheckCondition, String(error));
    const { key, asc, ascq } = error.sense;
    return [key, asc, ascq].map((value) => value.toString(16).padStart(2, "0")).join("/");
  }
  return "taken";
}

const populate = (ranges: readonly BlockRange[], more: RangeLimits = limits) =>
  refusal(() => parsePopulateToken(populateTokenList({ ranges }), more));

test("POPULATE TOKEN is read field by field", () => {
  const ranges = [
    { lba: 5, blocks: 3 },
    { lba: 100, blocks: 0 },
    { lba: 0, blocks: 5 },
  ];
  const list = populateTokenList({ ranges, immediate: true, inactivitySeconds: 60, rodType: ROD_TYPE });
  assert.deepEqual(parsePopulateToken(list, limits), {
    immediate: true,
    inactivitySeconds: 60,
    rodType: ROD_TYPE,
    ranges: [
      { lba: 5, blocks: 3 },
      { lba: 0, blocks: 5 },
    ],
  });
});

test("WRITE USING TOKEN is read field by field", () => {
  const token = Uint8Array.from({ length: 512 }, (_, index) => index & 0xff);
  const list = writeUsingTokenList({
    token,
    ranges: [{ lba: 1, blocks: 2 }],
    offsetBlocks: 9,
    deleteToken: true,
  });
  assert.deepEqual(parseWriteUsingToken(list, limits), {
    immediate: false,
    deleteToken: true,
    offsetBlocks: 9,
    token,
    ranges: [{ lba: 1, blocks: 2 }],
  });
});

test("64 ranges and more are taken, more than the limit are not", () => {
  const ranges = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ lba: index * 2, blocks: 1 }));
  assert.equal(populate(ranges(64)), "taken");
  assert.equal(populate(ranges(70)), "taken");
  assert.equal(populate(ranges(71)), "05/26/08");
});

test("ranges that overlap are refused in whatever order they stand, ranges that touch are not", () => {
  assert.equal(
    populate([
      { lba: 10, blocks: 5 },
      { lba: 5, blocks: 6 },
    ]),
    "05/26/00",
  );
  assert.equal(
    populate([
      { lba: 10, blocks: 5 },
      { lba: 10, blocks: 5 },
    ]),
    "05/26/00",
  );
  assert.equal(
    populate([
      { lba: 10, blocks: 5 },
      { lba: 5, blocks: 5 },
    ]),
    "taken",
  );
});

test("a range past the end, or at an address beyond every number, is out of range", () => {
  assert.equal(populate([{ lba: 999, blocks: 1 }]), "taken");
  assert.equal(populate([{ lba: 999, blocks: 2 }]), "05/21/00");
  assert.equal(populate([{ lba: 1_001, blocks: 0 }]), "05/21/00");
  const list = populateTokenList({ ranges: [{ lba: 0xffff_ffff_ffff_ffffn, blocks: 2 }] });
  assert.equal(
    refusal(() => parsePopulateToken(list, limits)),
    "05/21/00",
  );
});

test("a total over the maximum is refused", () => {
  assert.equal(
    populate([
      { lba: 0, blocks: 250 },
      { lba: 250, blocks: 250 },
    ]),
    "taken",
  );
  assert.equal(
    populate([
      { lba: 0, blocks: 250 },
      { lba: 250, blocks: 251 },
    ]),
    "05/26/00",
  );
});

test("a list that is shorter than it says, or than its ranges, is refused", () => {
  for (const make of [
    () => populateTokenList({ ranges: [{ lba: 0, blocks: 1 }] }),
    () => writeUsingTokenList({ token: new Uint8Array(512), ranges: [{ lba: 0, blocks: 1 }] }),
  ]) {
    const parse = make().length > 100 ? parseWriteUsingToken : parsePopulateToken;
    for (let length = 0; length < make().length; length++)
      assert.equal(
        refusal(() => parse(make().subarray(0, length), limits)),
        "05/26/00",
      );
    const lessThanRanges = make();
    lessThanRanges.writeUInt16BE(lessThanRanges.length - 3, 0);
    assert.equal(
      refusal(() => parse(lessThanRanges, limits)),
      "05/26/00",
    );
  }
});

test("a list of no range is refused, bytes behind the stated length are not looked at", () => {
  assert.equal(populate([]), "05/26/00");
  const list = populateTokenList({ ranges: [{ lba: 0, blocks: 1 }] });
  const longer = Buffer.concat([list, Buffer.alloc(33, 0xff)]);
  assert.deepEqual(parsePopulateToken(longer, limits), parsePopulateToken(list, limits));
});

test("an incomplete last range is ignored", () => {
  const list = Buffer.concat([
    populateTokenList({ ranges: [{ lba: 4, blocks: 1 }] }),
    Buffer.alloc(15, 0xff),
  ]);
  list.writeUInt16BE(list.length - 2, 0);
  list.writeUInt16BE(31, 14);
  assert.deepEqual(parsePopulateToken(list, limits).ranges, [{ lba: 4, blocks: 1 }]);
});

test("both forms of EXTENDED COPY are read alike", () => {
  const designator = Uint8Array.from([1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7]);
  const segment = { source: 0, destination: 1, blocks: 7, sourceLba: 8, destinationLba: 9 };
  const list = { listId: 6, cscds: [identificationCscd(designator, 512)], segments: [blockSegment(segment)] };
  const wanted = {
    listId: 6,
    immediate: false,
    ends: [{ designator, peripheralType: 0, blockBytes: 512 }],
    segments: [{ ...segment, kind: "blocks", countedIn: "source" }],
  };
  assert.deepEqual(parseExtendedCopyLid1(extendedCopyLid1List(list), copyLimits), wanted);
  assert.deepEqual(parseExtendedCopyLid4(extendedCopyLid4List(list), copyLimits), wanted);
  assert.equal(
    parseExtendedCopyLid1(extendedCopyLid1List({ ...list, listId: 0, flags: 0x18 }), copyLimits).listId,
    undefined,
  );
});

test("a CSCD's type of logical unit identifier is ignored, a null device is refused", () => {
  const parseWith = (flags: number) => {
    const cscd = identificationCscd(Uint8Array.from([1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7]));
    cscd[1] = flags;
    return parseExtendedCopyLid1(extendedCopyLid1List({ cscds: [cscd], segments: [] }), copyLimits);
  };
  assert.deepEqual(parseWith(0xc0), parseWith(0));
  assert.equal(
    refusal(() => parseWith(0x20)),
    "05/26/00",
  );
});

test("inline data is refused", () => {
  const list = extendedCopyLid1List({ cscds: [], segments: [] });
  list.writeUInt32BE(1, 12);
  assert.equal(
    refusal(() => parseExtendedCopyLid1(list, copyLimits)),
    "05/26/0b",
  );
});

/** Bytes that look like a list, with some changed. */
function nearly(list: Buffer) {
  return fc
    .tuple(fc.array(fc.tuple(fc.nat(list.length - 1), fc.nat(255)), { maxLength: 5 }), fc.nat(list.length))
    .map(([changes, length]) => {
      const bytes = Uint8Array.from(list);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes.subarray(0, length === 0 ? bytes.length : length);
    });
}

const ranges = [
  { lba: 1, blocks: 2 },
  { lba: 30, blocks: 4 },
];
const segments = [blockSegment({ source: 0, destination: 0, blocks: 1, sourceLba: 1, destinationLba: 2 })];
const cscds = [identificationCscd(Uint8Array.from([1, 3, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]))];
const parsers: readonly (readonly [string, (list: Uint8Array) => unknown, Buffer])[] = [
  ["POPULATE TOKEN", (list) => parsePopulateToken(list, limits), populateTokenList({ ranges })],
  [
    "WRITE USING TOKEN",
    (list) => parseWriteUsingToken(list, limits),
    writeUsingTokenList({ token: new Uint8Array(512), ranges }),
  ],
  [
    "EXTENDED COPY LID1",
    (list) => parseExtendedCopyLid1(list, copyLimits),
    extendedCopyLid1List({ cscds, segments }),
  ],
  [
    "EXTENDED COPY LID4",
    (list) => parseExtendedCopyLid4(list, copyLimits),
    extendedCopyLid4List({ cscds, segments }),
  ],
];

for (const [name, parse, list] of parsers) {
  test(`arbitrary bytes as the list of ${name} are read or refused with a check condition`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 700 }), nearly(list)), (bytes) => {
        refusal(() => parse(bytes));
      }),
      { numRuns: 500 },
    );
  });
}

test("ranges that are taken lie inside the medium, are disjoint and within the limits", () => {
  const range = fc.record({ lba: fc.nat(1_100), blocks: fc.nat(300) }, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 8 }), (asked) => {
      const list = populateTokenList({ ranges: asked });
      if (refusal(() => parsePopulateToken(list, limits)) !== "taken") return;
      const taken = parsePopulateToken(list, limits).ranges;
      assert.deepEqual(
        taken,
        asked.filter(({ blocks }) => blocks > 0),
      );
      const blocks = taken.flatMap((one) =>
        Array.from({ length: one.blocks }, (_, index) => one.lba + index),
      );
      assert.equal(new Set(blocks).size, blocks.length);
      assert.ok(blocks.length <= limits.totalBlocksMax && blocks.every((lba) => lba < limits.capacityBlocks));
    }),
  );
});
