import assert from "node:assert/strict";
import test from "node:test";
import { patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import { segmentName } from "../format/segment.ts";

const MIB = 2 ** 20;

/** The pieces that only the next open reads, by their place in the root: see docs/formats/checkpoint.md. */
const ROOT_PLACES = {
  "node table's directory": 6,
  "segment table's directory": 10,
  catalogue: 14,
  "drop-list": 18,
};

for (const what of ["root", ...Object.keys(ROOT_PLACES)])
  test(`scrub counts a flipped bit of the newest checkpoint's ${what}`, () =>
    withSimulatedPool(async (simulated) => {
      await (await simulated.volume("v", 8 * MIB)).write(0, patternBytes(MIB / 2, 1), 1);
      await simulated.pool.checkpoint();
      const wordsOf = (name: string) =>
        new Uint32Array(simulated.disk.file(name).durableBytes().slice().buffer);
      const slots = ["superblock-0", "superblock-1"].map(wordsOf);
      const newest = slots[0]![6]! > slots[1]![6]! ? slots[0]! : slots[1]!;
      let [segment, offset] = [newest[16]!, newest[17]!];
      if (what !== "root") {
        const root = wordsOf(segmentName(segment)).subarray(offset / 4);
        const at = ROOT_PLACES[what as keyof typeof ROOT_PLACES];
        [segment, offset] = [root[at]!, root[at + 1]!];
      }
      assert.equal((await simulated.pool.scrub()).errors, 0);
      simulated.disk.file(segmentName(segment)).flip(offset + 1, 2);
      const sentences: string[] = [];
      const { errors } = await simulated.pool.scrub({ onError: (sentence) => sentences.push(sentence) });
      assert.equal(errors, 1);
      assert.match(sentences[0]!, new RegExp(`^the ${what} of checkpoint`));
      await simulated.pool.checkpoint();
      assert.equal((await simulated.pool.scrub()).errors, 0, "the next checkpoint heals it");
    }));

test("scrub counts a flipped bit in a record's header in the log's tail, also before records of other segments", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 8 * MIB);
    await simulated.pool.checkpoint();
    for (let at = 0; at < 3; at += 1) await device.write(at * MIB, patternBytes(MIB / 2, at), 1);
    assert.equal((await simulated.pool.scrub()).errors, 0);
    const wanted = Buffer.from(patternBytes(MIB / 2, 0).subarray(0, 16));
    const file = [...simulated.disk.directory.names.values()].find((each) =>
      Buffer.from(each.durableBytes()).includes(wanted),
    )!;
    // The header and its page checksums end where the data begins.
    file.flip(Buffer.from(file.durableBytes()).indexOf(wanted) - 200, 0);
    const sentences: string[] = [];
    const { errors } = await simulated.pool.scrub({ onError: (sentence) => sentences.push(sentence) });
    assert.equal(errors, 1, sentences.join("\n"));
    assert.match(sentences[0]!, /^the header of record \d+, in the log's tail/);
    await simulated.pool.checkpoint();
    assert.equal((await simulated.pool.scrub()).errors, 0, "behind a checkpoint it is no longer needed");
  }));

test("scrub reads the tail that an open replayed as well as what was appended behind it", () =>
  withSimulatedPool(async (simulated) => {
    const before = await simulated.volume("v", 8 * MIB);
    for (let at = 0; at < 3; at += 1) await before.write(at * MIB, patternBytes(MIB / 2, at), 1);
    simulated.die();
    await simulated.open();
    const device = await simulated.pool.openVolume("v");
    await device.write(3 * MIB, patternBytes(MIB / 2, 3), 1);
    assert.equal((await simulated.pool.scrub()).errors, 0);
    for (const seed of [1, 3]) {
      const wanted = Buffer.from(patternBytes(MIB / 2, seed).subarray(0, 16));
      const file = [...simulated.disk.directory.names.values()].find((each) =>
        Buffer.from(each.durableBytes()).includes(wanted),
      )!;
      file.flip(Buffer.from(file.durableBytes()).indexOf(wanted) - 100, 7);
    }
    assert.equal((await simulated.pool.scrub()).errors, 2);
  }));

test("scrub counts a flipped bit in a sealed segment's footer, and misses none where a process died", () =>
  withSimulatedPool(async (simulated) => {
    const before = await simulated.volume("v", 8 * MIB);
    for (let at = 0; at < 5; at += 1) await before.write(at * MIB, patternBytes(MIB / 2, at), 1);
    simulated.die();
    await simulated.open();
    const device = await simulated.pool.openVolume("v");
    for (let at = 5; at < 7; at += 1) await device.write(at * MIB, patternBytes(MIB / 2, at), 1);
    await simulated.pool.checkpoint();
    await simulated.pool.close();
    await simulated.open();
    assert.equal((await simulated.pool.scrub()).errors, 0);
    const footerAt = MIB - 4096;
    const names = [...simulated.disk.directory.names.keys()].filter((name) => /^segment-/.test(name));
    const sealed = names.filter((name) => simulated.disk.file(name).durableBytes()[footerAt] !== 0);
    assert.ok(sealed.length >= 2 && sealed.length < names.length, `${sealed.length} of ${names.length}`);
    // The last that a process left in order: what a dead one left may or may not have arrived.
    simulated.disk.file(sealed.sort().at(-1)!).flip(footerAt + 4000, 1);
    const sentences: string[] = [];
    const { errors } = await simulated.pool.scrub({ onError: (sentence) => sentences.push(sentence) });
    assert.equal(errors, 1, sentences.join("\n"));
    assert.match(sentences[0]!, /^the footer of segment \d+/);
  }));

test("scrub counts a flipped bit of data, and only reads of that page fail", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 8 * MIB);
    await device.write(0, patternBytes(MIB / 2, 1), 1);
    assert.equal((await simulated.pool.scrub()).errors, 0);
    const wanted = Buffer.from(patternBytes(MIB / 2, 1).subarray(40_960, 40_976));
    const file = [...simulated.disk.directory.names.values()].find((each) =>
      Buffer.from(each.durableBytes()).includes(wanted),
    )!;
    file.flip(Buffer.from(file.durableBytes()).indexOf(wanted), 5);
    const sentences: string[] = [];
    const result = await simulated.pool.scrub({ onError: (sentence) => sentences.push(sentence) });
    assert.equal(result.errors, 1);
    assert.equal(sentences.length, 1);
    await assert.rejects(async () => void (await device.read(40_960, new Uint8Array(4096))), {
      code: "CHECKSUM_MISMATCH",
    });
    await device.read(45_056, new Uint8Array(4096));
  }));

test("a background scrub at the slowest pace neither delays a close nor speeds up when it is switched off", () =>
  withSimulatedPool(
    async (simulated) => {
      const device = await simulated.volume("v", 8 * MIB);
      for (let at = 0; at < 8 * MIB; at += MIB / 2) await device.write(at, patternBytes(MIB / 2, at), 1);
      await device.close();
      await simulated.pool.set({ scrubBytesPerSecond: 100_000_000 });
      await simulated.pause(20);
      await simulated.pool.set({ scrubBytesPerSecond: 1 });
      await simulated.pause(2000);
      const before = simulated.clock.nowMs;
      await simulated.pool.close();
      assert.ok(simulated.clock.nowMs - before < 2000, `the close took ${simulated.clock.nowMs - before} ms`);
    },
    { turnsMax: 100_000 },
  ));
