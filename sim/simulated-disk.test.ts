/** What the simulated disk keeps, loses, tears and fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RopewalkError } from "../src/base/errors.ts";
import type { Disk, DiskFile } from "../src/ports/mod.ts";
import type { DiskFault } from "./disk-faults.ts";
import { SimulatedClock, type SimulatedProcess } from "./simulated-clock.ts";
import { type CrashMode, type DiskOptions, SimulatedDisk } from "./simulated-disk.ts";

const fileBytes = 64 * 1024;

interface Bench {
  readonly clock: SimulatedClock;
  readonly machine: SimulatedDisk;
  process: SimulatedProcess;
  disk: Disk;
}

function bench(seed: number, options: DiskOptions = {}): Bench {
  const clock = new SimulatedClock();
  const machine = new SimulatedDisk(clock, seed, options);
  const process = clock.startProcess();
  return { clock, machine, process, disk: machine.attach(process) };
}

/** The process dies, the power fails as `mode` says, another process comes. */
function crash(bench: Bench, mode: CrashMode): void {
  bench.process.kill();
  bench.machine.powerCut(mode);
  bench.process = bench.clock.startProcess();
  bench.disk = bench.machine.attach(bench.process);
}

/** A file whose creation is durable. */
async function durableFile({ disk }: Bench, name = "f"): Promise<DiskFile> {
  const file = await disk.create(name, fileBytes);
  await disk.syncDirectory();
  return file;
}

async function content({ disk }: Bench, name = "f"): Promise<Uint8Array> {
  const file = await disk.open(name);
  const bytes = new Uint8Array(fileBytes);
  await file.read(0, bytes, 0, fileBytes);
  return bytes;
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof RopewalkError ? error.code : String(error);
  }
  return "done";
}

/** Runs the body on fresh disks of many seeds. */
async function onManySeeds(
  body: (bench: Bench, seed: number) => Promise<void>,
  options?: DiskOptions,
): Promise<void> {
  for (let seed = 1; seed <= 60; seed++) {
    const each = bench(seed, options);
    await each.clock.run(body(each, seed));
  }
}

for (const mode of ["clean", "lost", "torn", "reordered"] as const) {
  test(`what was synced survives a ${mode} crash`, async () => {
    await onManySeeds(async (each) => {
      const file = await durableFile(each);
      file.write(512, [filled(6000, 7), filled(100, 8)]);
      await file.sync();
      crash(each, mode);
      const bytes = await content(each);
      assert.deepEqual(bytes.subarray(0, 512), filled(512, 0));
      assert.deepEqual(bytes.subarray(512, 6512), filled(6000, 7));
      assert.deepEqual(bytes.subarray(6512, 6612), filled(100, 8));
    });
  });
}

test("a process death keeps what was written, and a power cut behind it does not", async () => {
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    file.write(0, [filled(4096, 1)]);
    crash(each, "clean");
    assert.equal((await content(each))[0], 1);
    crash(each, "lost");
    assert.equal((await content(each))[0], 0);
  });
});

test("a torn power cut keeps whole writes in their order, and of the next one only leading sectors", async () => {
  let torn = 0;
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    for (let write = 0; write < 8; write++) file.write(write * 4096, [filled(4096, write + 1)]);
    crash(each, "torn");
    const bytes = await content(each);
    const sectors = Array.from({ length: 64 }, (_, at) => bytes.subarray(at * 512, (at + 1) * 512));
    const whole = sectors.map((sector, at) => sector.every((byte) => byte === Math.floor(at / 8) + 1));
    const kept = whole.indexOf(false) === -1 ? 64 : whole.indexOf(false);
    if (kept % 8 !== 0) torn++;
    // Where the write tore, up to 4 KiB may be neither old nor new; behind that nothing arrived.
    const damagedEnd = Math.min(64, kept + 8);
    for (let at = damagedEnd; at < 64; at++) assert.ok(sectors[at]!.every((byte) => byte === 0));
  });
  assert.ok(torn > 5, `only ${torn} tears`);
});

test("a reordered power cut keeps any sectors, and never touches one that was not rewritten", async () => {
  let holes = 0;
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    file.write(0, [filled(32 * 1024, 9)]);
    await file.sync();
    file.write(8192, [filled(8192, 10)]);
    crash(each, "reordered");
    const bytes = await content(each);
    assert.ok(bytes.subarray(0, 8192).every((byte) => byte === 9));
    assert.ok(bytes.subarray(16_384, 32_768).every((byte) => byte === 9));
    const first = bytes.subarray(8192, 16_384).indexOf(9);
    const last = bytes.subarray(8192, 16_384).lastIndexOf(10);
    if (first !== -1 && last > first) holes++;
  });
  assert.ok(holes > 5, `only ${holes} runs lost an earlier sector and kept a later one`);
});

test("a sync covers what was written before it was issued, and nothing else", async () => {
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    file.write(0, [filled(512, 1)]);
    const synced = file.sync();
    file.write(512, [filled(512, 2)]);
    await synced;
    crash(each, "lost");
    const bytes = await content(each);
    assert.equal(bytes[0], 1);
    assert.equal(bytes[512], 0);
  });
});

test("after a failed sync the cache shows what the platter lacks, until it is dropped", async () => {
  let lost = 0;
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    file.write(0, [filled(4096, 5)]);
    each.machine.faults.arm({ call: "sync", nth: 1, lasting: false, code: "IO_ERROR" });
    assert.equal(await codeOf(file.sync()), "IO_ERROR");
    assert.ok((await content(each)).subarray(0, 4096).every((byte) => byte === 5));
    await file.sync();
    await file.dropCache();
    if ((await content(each)).subarray(0, 4096).some((byte) => byte === 0)) lost++;
  });
  assert.ok(lost > 20, `only ${lost} runs lost something`);
});

test("creations, renamings and removals are undone by a power cut until the directory is synced", async () => {
  await onManySeeds(async (each) => {
    await durableFile(each, "old");
    await durableFile(each, "gone");
    await (await each.disk.create("new", fileBytes)).sync();
    await each.disk.rename("old", "renamed");
    await each.disk.remove("gone");
    crash(each, "lost");
    assert.deepEqual((await each.disk.list()).map(({ name }) => name).sort(), ["gone", "old"]);
    await each.disk.rename("old", "renamed");
    await each.disk.remove("gone");
    await each.disk.syncDirectory();
    crash(each, "lost");
    assert.deepEqual(
      (await each.disk.list()).map(({ name }) => name),
      ["renamed"],
    );
  });
});

test("a renaming replaces its target, and a power cut brings the target back", async () => {
  const each = bench(1);
  await each.clock.run(
    (async () => {
      for (const [name, value] of [
        ["a", 1],
        ["b", 2],
      ] as const) {
        const file = await durableFile(each, name);
        file.write(0, [filled(512, value)]);
        await file.sync();
      }
      await each.disk.rename("a", "b");
      assert.equal((await content(each, "b"))[0], 1);
      crash(each, "lost");
      assert.equal((await content(each, "b"))[0], 2);
      assert.equal((await content(each, "a"))[0], 1);
    })(),
  );
});

test("a dead process's calls change nothing and never come back", async () => {
  const each = bench(1);
  await each.clock.run(
    (async () => {
      const file = await durableFile(each);
      const { disk } = each;
      each.process.kill();
      file.write(0, [filled(512, 3)]);
      assert.equal(file.readNow(0, new Uint8Array(512), 0, 512), false);
      let came = 0;
      for (const call of [file.sync(), disk.list(), disk.create("x", 512), disk.lock()])
        void call.then(
          () => came++,
          () => came++,
        );
      crash(each, "clean");
      assert.equal((await content(each))[0], 0);
      assert.equal(came, 0);
    })(),
  );
});

test("a process dies at the chosen call, and of a write at that call a prefix of sectors is left", async () => {
  const lengths = new Set<number>();
  await onManySeeds(async (each) => {
    const file = await durableFile(each);
    let died = false;
    each.machine.crashAfter(1, () => {
      died = true;
    });
    file.write(0, [filled(4096, 4)]);
    assert.ok(died && each.process.dead);
    crash(each, "clean");
    const bytes = await content(each);
    const length = bytes.subarray(0, 4096).lastIndexOf(4) + 1;
    assert.equal(length % 512, 0);
    lengths.add(length);
  });
  assert.ok(lengths.size > 3);
});

test("the n-th call of a kind fails, once or from then on, and a failed write leaves a part", async () => {
  const outcomes = async (fault: DiskFault, call: (file: DiskFile, disk: Disk) => Promise<unknown>) => {
    const each = bench(7);
    return each.clock.run(
      (async () => {
        const file = await durableFile(each);
        each.machine.faults.arm(fault);
        const codes: string[] = [];
        for (let time = 0; time < 4; time++) codes.push(await codeOf(call(file, each.disk)));
        return codes;
      })(),
    );
  };
  const write = async (file: DiskFile) => file.write(0, [filled(512, 1)]);
  const once: DiskFault = { call: "write", nth: 2, lasting: false, code: "IO_ERROR" };
  assert.deepEqual(await outcomes(once, write), ["done", "IO_ERROR", "done", "done"]);
  assert.deepEqual(await outcomes({ ...once, lasting: true }, write), [
    "done",
    "IO_ERROR",
    "IO_ERROR",
    "IO_ERROR",
  ]);
  let name = 0;
  const create = (_file: DiskFile, disk: Disk) => disk.create(`n${name++}`, 512);
  const noSpace: DiskFault = { call: "create", nth: 1, lasting: false, code: "NO_SPACE" };
  assert.deepEqual(await outcomes(noSpace, create), ["NO_SPACE", "done", "done", "done"]);
  assert.deepEqual(await outcomes({ ...once, name: "other" }, write), ["done", "done", "done", "done"]);
});

test("a disk that is full refuses to create, and has room again after a removal", async () => {
  const each = bench(1, { capacityBytes: 2 * fileBytes });
  await each.clock.run(
    (async () => {
      await each.disk.create("a", fileBytes);
      await each.disk.create("b", fileBytes);
      assert.equal(await codeOf(each.disk.create("c", 512)), "NO_SPACE");
      await each.disk.remove("a");
      assert.equal(await codeOf(each.disk.create("c", fileBytes)), "done");
    })(),
  );
});

test("a second process is locked out until the first unlocks or dies", async () => {
  const each = bench(1);
  await each.clock.run(
    (async () => {
      await each.disk.lock();
      const other = each.machine.attach(each.clock.startProcess());
      assert.equal(await codeOf(other.lock()), "POOL_IN_USE");
      await each.disk.unlock();
      assert.equal(await codeOf(other.lock()), "done");
      crash(each, "clean");
      assert.equal(await codeOf(each.disk.lock()), "POOL_IN_USE");
    })(),
  );
});

test("a flipped bit is read by everybody, and only that bit", async () => {
  const each = bench(1);
  await each.clock.run(
    (async () => {
      const file = await durableFile(each);
      file.write(0, [filled(1024, 0b101)]);
      await file.sync();
      each.machine.file("f").flip(700, 1);
      const bytes = await content(each);
      assert.equal(bytes[700], 0b111);
      assert.equal(bytes.filter((byte) => byte === 0b101).length, 1023);
    })(),
  );
});

test("a copy of a disk goes its own way", async () => {
  const each = bench(1);
  await each.clock.run(
    (async () => {
      const file = await durableFile(each);
      file.write(0, [filled(512, 1)]);
      await file.sync();
    })(),
  );
  const clock = new SimulatedClock();
  const copy = each.machine.copy(clock, 2);
  copy.file("f").flip(0, 7);
  assert.equal(copy.file("f").durableBytes()[0], 129);
  assert.equal(each.machine.file("f").durableBytes()[0], 1);
});

test("the same seed gives the same trace hash, another seed another", async () => {
  const hash = async (seed: number) => {
    const each = bench(seed);
    await each.clock.run(
      (async () => {
        const file = await durableFile(each);
        for (let write = 0; write < 20; write++) {
          file.write(write * 512, [filled(512, write)]);
          if (write % 5 === 0) await file.sync();
        }
        crash(each, "reordered");
        await content(each);
      })(),
    );
    return each.machine.trace.hash;
  };
  assert.equal(await hash(11), await hash(11));
  assert.notEqual(await hash(11), await hash(12));
});
