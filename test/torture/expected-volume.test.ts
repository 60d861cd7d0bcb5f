import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpectedVolume } from "./expected-volume.ts";
import { SECTOR_BYTES, stamp } from "./stamped-sectors.ts";

const SECTORS = 16;

/** A volume with request 1 acknowledged on sectors 0 to 7, and its bytes. */
function written() {
  const volume = new ExpectedVolume(SECTORS * SECTOR_BYTES);
  const content = new Uint8Array(SECTORS * SECTOR_BYTES);
  const first = { request: 1, firstSector: 0, sectors: 8 };
  volume.begin(first);
  volume.acknowledge(first);
  stamp(content.subarray(0, 8 * SECTOR_BYTES), 1, 0);
  return { volume, content };
}

function write(content: Uint8Array, request: number, firstSector: number, sectors: number): void {
  stamp(
    content.subarray(firstSector * SECTOR_BYTES, (firstSector + sectors) * SECTOR_BYTES),
    request,
    firstSector,
  );
}

test("what was acknowledged and is there passes", () => {
  const { volume, content } = written();
  assert.deepEqual(volume.settle(content), []);
});

test("an acknowledged write that is gone is found", () => {
  const { volume, content } = written();
  content.fill(0, 3 * SECTOR_BYTES, 4 * SECTOR_BYTES);
  assert.match(volume.settle(content).join(), /sector 3 holds request 0, expected request 1/);
});

test("one changed byte, and a right sector at the wrong place, are found", () => {
  const { volume, content } = written();
  content[5 * SECTOR_BYTES + 300]! ^= 1;
  content.copyWithin(6 * SECTOR_BYTES, 7 * SECTOR_BYTES, 8 * SECTOR_BYTES);
  const problems = volume.settle(content).join();
  assert.match(problems, /sector 5 holds foreign bytes/);
  assert.match(problems, /sector 6 holds foreign bytes/);
});

test("an outstanding write may be there wholly or not at all, and is expected afterwards as it was found", () => {
  for (const arrived of [false, true]) {
    const { volume, content } = written();
    volume.begin({ request: 2, firstSector: 4, sectors: 8 });
    if (arrived) write(content, 2, 4, 8);
    assert.deepEqual(volume.settle(content), []);
    assert.deepEqual(volume.settle(content), []);
    content.fill(0);
    assert.notDeepEqual(volume.settle(content), []);
  }
});

test("an outstanding write of which a part is there is torn", () => {
  const { volume, content } = written();
  volume.begin({ request: 2, firstSector: 4, sectors: 8 });
  write(content, 2, 4, 3);
  assert.match(
    volume.settle(content).join(),
    /request 2 at sector 4 is torn: 3 sectors of it are there, 5 are not/,
  );
});

test("an outstanding trim over data that was half done is torn, over zeros it tells nothing", () => {
  const { volume, content } = written();
  volume.begin({ request: 0, firstSector: 6, sectors: 4 });
  content.fill(0, 6 * SECTOR_BYTES, 7 * SECTOR_BYTES);
  assert.match(volume.settle(content).join(), /torn/);
});

test("a copy holds what was outstanding when it was made, and nothing from later", () => {
  const { volume, content } = written();
  const second = { request: 2, firstSector: 8, sectors: 2 };
  volume.begin(second);
  const copy = volume.copy();
  volume.acknowledge(second);
  assert.deepEqual(copy.settle(content), [], "the outstanding write need not be in the copy");
  const later = written().volume.copy();
  write(content, 3, 0, 1);
  assert.match(later.settle(content).join(), /sector 0 holds request 3/);
});

test("ranges of outstanding requests are not free until they are acknowledged", () => {
  const { volume } = written();
  const second = { request: 2, firstSector: 4, sectors: 4 };
  volume.begin(second);
  assert.equal(volume.isFree({ firstSector: 0, sectors: 4 }), true);
  assert.equal(volume.isFree({ firstSector: 7, sectors: 4 }), false);
  volume.acknowledge(second);
  assert.equal(volume.isFree({ firstSector: 7, sectors: 4 }), true);
});

test("a range that is being read is not free until the reader is done", () => {
  const { volume } = written();
  const release = volume.reserve({ firstSector: 0, sectors: 2 });
  assert.equal(volume.isFree({ firstSector: 1, sectors: 4 }), false);
  release();
  assert.equal(volume.isFree({ firstSector: 1, sectors: 4 }), true);
});
