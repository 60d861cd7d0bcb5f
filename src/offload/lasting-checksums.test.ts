// Kept checksums that outlive openings and restarts, one behaviour each. The device stays what it is over restarts; the
// disk of the files can lose what was not synced.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CrashMode, SimulatedDisk } from "../../sim/simulated-disk.ts";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../test/support/simulated-pool.ts";
import { readRequest } from "../../test/support/token-memory-device.ts";
import { type BlockDevice, MemoryDevice } from "../device/mod.ts";
import { ChecksumFiles, type GivenTokenSettings, TokenRoom } from "./mod.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MISMATCH = { code: "CHECKSUM_MISMATCH" };

class Bench {
  readonly simulated: SimulatedPool;
  readonly disk: SimulatedDisk;
  readonly reports: string[] = [];
  /** Has no tokens of its own. */
  below = new MemoryDevice({ sizeBytes: 2 * MIB });
  room!: TokenRoom;
  target!: BlockDevice;

  constructor(simulated: SimulatedPool) {
    this.simulated = simulated;
    this.disk = new SimulatedDisk(simulated.clock, "checksums");
  }

  /** A daemon's start, and the device opened. */
  async start(
    settings: GivenTokenSettings = {},
    lastingName: string | undefined = "a memory",
  ): Promise<void> {
    const { clock, random } = this.simulated.world;
    const report = (sentence: string) => void this.reports.push(sentence);
    const checksumFiles = await ChecksumFiles.open({ disk: this.disk.attach(clock), report });
    const key = new Uint8Array(32).fill(7);
    const { pool } = this.simulated;
    this.room = await TokenRoom.open({ pool, clock, random, key, settings, checksumFiles, report });
    this.open(lastingName);
  }

  open(lastingName: string | undefined = "a memory"): void {
    this.target = this.room.emulatedOver(this.below, { id: "memory", description: "a memory", lastingName });
  }

  async stop(): Promise<void> {
    await this.target.close();
    await this.room.close();
  }

  async crash(mode: CrashMode): Promise<void> {
    this.simulated.die("clean");
    this.disk.powerCut(mode);
    await this.simulated.open();
    await this.start();
  }

  get files(): string[] {
    return [...this.disk.directory.names.keys()];
  }

  /** Writes 1 MiB of a pattern by a token with its companion. */
  async fill(bytes: Uint8Array = patternBytes(MIB, 3)): Promise<void> {
    const { pool } = this.simulated;
    if (!pool.volumes().some(({ name }) => name === "a"))
      await pool.createVolume({ name: "a", sizeBytes: MIB });
    const source = this.room.overPool({ volume: "a" }, pool.openVolume("a"));
    for (let at = 0; at < MIB; at += 256 * KIB) await source.write(at, bytes.subarray(at, at + 256 * KIB), 0);
    const request = { ...readRequest(0, MIB), ttlMs: 3_600_000, withChecksums: true };
    const { tokens } = await source.offload!.read(request);
    await this.target.offload!.write({
      tokens: tokens.map(({ token }) => token),
      tokenOffsetBytes: 0,
      ranges: [{ offsetBytes: 0, lengthBytes: MIB }],
      fua: false,
      isProtected: true,
    });
    await source.close();
  }

  /** One byte of what is below becomes another, behind everybody's back. */
  async rot(at: number): Promise<void> {
    const block = await bytesOf(this.below, at - (at % 512), 512);
    block[at % 512]! ^= 1;
    await this.below.write(at - (at % 512), block, 0);
  }
}

function withBench(body: (bench: Bench) => Promise<void>) {
  return () =>
    withSimulatedPool(async (simulated) => {
      const bench = new Bench(simulated);
      await bench.start();
      await body(bench);
    });
}

test(
  "T24: kept checksums outlive a restart: a byte that was changed behind the daemon's back is CHECKSUM_MISMATCH",
  withBench(async (bench) => {
    await bench.fill();
    assert.deepEqual(bench.files, []);
    await bench.stop();
    assert.equal(bench.files.length, 1);
    await bench.rot(300 * KIB);
    await bench.start();
    await assert.rejects(bytesOf(bench.target, 300 * KIB, 512), MISMATCH);
    assert.deepEqual(await bytesOf(bench.target, 0, 256 * KIB), patternBytes(MIB, 3).slice(0, 256 * KIB));
    const { tokens } = await bench.target.offload!.read({ ...readRequest(0, MIB), ttlMs: 3_600_000 });
    const read = bench.room.read(tokens[0]!.token, 300 * KIB, new Uint8Array(10), { isProtected: true });
    await assert.rejects(read, MISMATCH);
    assert.deepEqual(bench.reports, []);
  }),
);

test(
  "T24: so they do over openings of one process, also one that begins while the last one ends",
  withBench(async (bench) => {
    await bench.fill();
    const closing = bench.target.close();
    bench.open();
    await bench.rot(0);
    await assert.rejects(bytesOf(bench.target, 0, 512), MISMATCH);
    await closing;
    await bench.target.write(0, patternBytes(16 * KIB, 8), 0);
    assert.deepEqual(bench.files, []);
    await bench.target.close();
    bench.open();
    assert.deepEqual(await bytesOf(bench.target, 0, 16 * KIB), patternBytes(16 * KIB, 8));
    await bench.rot(MIB - 1);
    await assert.rejects(bytesOf(bench.target, MIB - 512, 512), MISMATCH);
  }),
);

for (const mode of ["clean", "lost", "torn", "reordered"] as const)
  test(
    `T24: after a crash (${mode}) no checksum is known of an opening that changed anything, and all of one that only read`,
    withBench(async (bench) => {
      await bench.fill();
      await bench.stop();
      await bench.start();
      await bytesOf(bench.target);
      await bench.crash(mode);
      await bench.rot(5);
      await assert.rejects(bytesOf(bench.target, 0, 512), MISMATCH);
      // The power goes in the moment in which the change has reached the device.
      const { below } = bench;
      let filesThen: string[] | undefined;
      const write = below.write.bind(below);
      below.write = (...parameters) => {
        bench.disk.powerCut("lost");
        filesThen = bench.files;
        return write(...parameters);
      };
      await bench.target.write(512 * KIB, patternBytes(512, 9), 0);
      assert.deepEqual(filesThen, []);
      below.write = write;
      await bench.crash(mode);
      await bytesOf(bench.target);
      assert.deepEqual(bench.files, []);
    }),
  );

test(
  "T24: the file is written when the device has made its data durable, and not when it cannot",
  withBench(async (bench) => {
    await bench.fill();
    const filesAtFlush: string[][] = [];
    bench.below.flush = () => void filesAtFlush.push(bench.files);
    await bench.stop();
    assert.deepEqual([filesAtFlush, bench.files.length], [[[]], 1]);
    await bench.start();
    await bench.target.write(MIB, patternBytes(512, 9), 0);
    bench.below.flush = () => Promise.reject(new Error("no power"));
    await bench.stop();
    assert.deepEqual(bench.files, []);
    assert.match(bench.reports.join(), /are not written and end: Error: no power/);
  }),
);

test(
  "T24: a damaged file is reported and dropped, and the data is as it is",
  withBench(async (bench) => {
    await bench.fill();
    await bench.stop();
    const disk = bench.disk.attach(bench.simulated.world.clock);
    const file = await disk.open(bench.files[0]!);
    file.write(70, [new Uint8Array([0xee])]);
    await file.close();
    await bench.rot(5);
    await bench.start();
    await bytesOf(bench.target);
    assert.deepEqual(bench.files, []);
    assert.match(bench.reports.join(), /^The kept checksums [0-9a-f]{64} are damaged; they are dropped/);
  }),
);

test(
  "T24: a change for which the file cannot be removed fails, and the next one tries again",
  withBench(async (bench) => {
    await bench.fill();
    await bench.stop();
    await bench.start();
    bench.disk.faults.arm({ call: "syncDirectory", nth: 1, lasting: false, code: "IO_ERROR" });
    const write = async () => bench.target.write(0, patternBytes(512, 9), 0);
    await assert.rejects(write(), { code: "IO_ERROR" });
    assert.deepEqual(await bytesOf(bench.target, 0, 512), patternBytes(MIB, 3).slice(0, 512));
    await write();
    bench.disk.powerCut("lost");
    assert.deepEqual(bench.files, []);
  }),
);

test(
  "T24: another device of that name, one of another size, and one that has no lasting name know nothing of them",
  withBench(async (bench) => {
    await bench.fill();
    await bench.stop();
    await bench.rot(5);
    await bench.start({}, "another memory");
    await bytesOf(bench.target);
    await bench.stop();
    const shorter = new MemoryDevice({ sizeBytes: MIB });
    [bench.below] = [shorter];
    await bench.start();
    await bytesOf(bench.target);
    await bench.fill();
    await bench.stop();
    const before = bench.files;
    await bench.start();
    bench.target = bench.room.emulatedOver(bench.below, { id: "other", description: "another" });
    await bench.fill();
    await bench.stop();
    assert.deepEqual(bench.files, before);
  }),
);

test(
  "T24: a change drops the file also where no checksums are kept any more",
  withBench(async (bench) => {
    await bench.fill();
    await bench.stop();
    await bench.start({ checksumBytesMax: 0 });
    await bench.target.write(0, patternBytes(512, 9), 0);
    await bench.stop();
    await bench.start();
    assert.deepEqual(await bytesOf(bench.target, 0, 512), patternBytes(512, 9));
  }),
);

test(
  "T24: a removal that is not known to be durable is made so before a later opening changes anything",
  withBench(async (bench) => {
    await bench.fill();
    await bench.stop();
    await bench.start();
    bench.disk.faults.arm({ call: "syncDirectory", nth: 1, lasting: false, code: "IO_ERROR" });
    const write = async () => bench.target.write(0, patternBytes(512, 9), 0);
    await assert.rejects(write(), { code: "IO_ERROR" });
    await bench.target.close();
    bench.open();
    await write();
    bench.disk.powerCut("lost");
    assert.deepEqual(bench.files, []);
  }),
);
