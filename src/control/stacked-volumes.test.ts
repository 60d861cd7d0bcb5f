import assert from "node:assert/strict";
import { test } from "node:test";
import { RopewalkError } from "../base/errors.ts";
import { MemoryDevice } from "../device/mod.ts";
import { hostClock, hostRandom } from "../host/mod.ts";
import { StackedVolumes } from "./stacked-volumes.ts";

/** `{on: [names], files: [paths], views: [names]}`: a device as large as 4 KiB for each member. */
interface Description {
  readonly on?: string[];
  readonly files?: string[];
  readonly views?: string[];
}

class World {
  readonly texts = new Map<string, string>();
  readonly volumes = new Set(["a", "b"]);
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly reports: string[] = [];
  stacks = this.make();

  make(): StackedVolumes {
    const { texts } = this;
    return new StackedVolumes({
      texts: {
        list: async () => [...texts.keys()].sort(),
        read: async (name) => texts.get(name),
        write: async (name, text) => void texts.set(name, text),
        remove: async (name) => void texts.delete(name),
      },
      builder: {
        members: (description) => (description as Description).on ?? [],
        files: (description) => (description as Description).files ?? [],
        build: async (name, description) => {
          const members = (description as Description).on ?? [];
          const held = members.map((member) => this.open(member));
          const device = new MemoryDevice({ sizeBytes: 4096 * (members.length + 1) });
          this.opened.push(name);
          device.close = async () => {
            this.closed.push(name);
            await Promise.all(held.map((each) => each.close()));
          };
          const names = (description as Description).views ?? [];
          return { device, views: new Map(names.map((view) => [view, this.view(view)])) };
        },
      },
      clock: hostClock,
      random: hostRandom,
      poolHas: (name) => this.volumes.has(name),
      report: (name, error) => void this.reports.push(`${name}: ${error.code}`),
    });
  }

  /** Notes that it is closed. */
  view(name: string) {
    const device = new MemoryDevice({ sizeBytes: 2048 });
    device.close = async () => void this.closed.push(`view ${name}`);
    return device;
  }

  open(member: string) {
    const [volume, view] = member.split("@") as [string, string | undefined];
    if (this.stacks.has(volume))
      return view === undefined ? this.stacks.open(volume) : this.stacks.openView(volume, view);
    if (!this.volumes.has(member.split("@")[0]!))
      throw new RopewalkError("VOLUME_NOT_FOUND", `There is no ${member}.`);
    return new MemoryDevice({ sizeBytes: 4096 });
  }
}

test("a stack is made, opened by several as one device, and found again after a restart", async () => {
  const world = new World();
  const made = await world.stacks.create("s", { on: ["a", "b"] });
  assert.deepEqual([made.sizeBytes, made.clients, made.stack], [12_288, 0, { on: ["a", "b"] }]);
  const [one, other] = [world.stacks.open("s"), world.stacks.open("s")];
  await one.write(0, Buffer.from("seen by both"), 0);
  const seen = Buffer.alloc(12);
  await other.read(0, seen);
  assert.equal(seen.toString(), "seen by both");
  assert.equal(world.stacks.show("s").clients, 2);
  await one.close();
  await other.close();
  await world.stacks.close();
  assert.deepEqual(world.closed, ["s"]);

  world.stacks = world.make();
  await world.stacks.load();
  const { clients, ...found } = world.stacks.show("s");
  assert.deepEqual({ ...found, clients }, made);
  await world.stacks.close();
});

test("what a stack stands on is in use by it, a volume with its snapshots", async () => {
  const world = new World();
  await world.stacks.create("s", { on: ["a", "b@snap"] });
  await world.stacks.create("t", { on: ["s"] });
  for (const name of ["a", "b", "b@snap", "s"])
    assert.throws(() => world.stacks.checkUnused(name), { code: "IN_USE" }, name);
  for (const name of ["c", "b@other", "t"]) world.stacks.checkUnused(name);
  await assert.rejects(world.stacks.delete("s"), { code: "IN_USE", message: /The stack "t" stands on "s"/ });
  await world.stacks.delete("t");
  await world.stacks.delete("s");
  assert.equal(world.texts.size, 0);
  world.stacks.checkUnused("a");
});

test("a stack with clients is not deleted", async () => {
  const world = new World();
  await world.stacks.create("s", { on: ["a"] });
  const client = world.stacks.open("s");
  await assert.rejects(world.stacks.delete("s"), { code: "IN_USE", message: /1 client/ });
  await client.close();
  await world.stacks.delete("s");
  assert.throws(() => world.stacks.open("s"), { code: "VOLUME_NOT_FOUND" });
});

test("a stack that names itself, a taken name or a member that is not there leaves nothing", async () => {
  const world = new World();
  await assert.rejects(world.stacks.create("s", { on: ["s"] }), { code: "INVALID_CONFIG" });
  await assert.rejects(world.stacks.create("a", { on: ["b"] }), { code: "ALREADY_EXISTS" });
  await assert.rejects(world.stacks.create("s", { on: ["none"] }), { code: "VOLUME_NOT_FOUND" });
  await assert.rejects(world.stacks.create("S", { on: ["a"] }), { code: "INVALID_NAME" });
  assert.deepEqual([world.stacks.list(), world.texts.size], [[], 0]);
  await world.stacks.create("s", { on: ["a"] });
  await assert.rejects(world.stacks.create("s", { on: ["b"] }), { code: "ALREADY_EXISTS" });
});

test("a name that a volume is being made of is taken for stacks", async () => {
  const world = new World();
  const gate = Promise.withResolvers<void>();
  const making = world.stacks.claim("s", () => gate.promise);
  await assert.rejects(world.stacks.create("s", { on: ["a"] }), { code: "ALREADY_EXISTS" });
  gate.resolve();
  await making;
  await world.stacks.create("s", { on: ["a"] });
});

test("two stacks do not stand on one file", async () => {
  const world = new World();
  await world.stacks.create("s", { files: ["/disk"] });
  await assert.rejects(world.stacks.create("t", { files: ["/disk"] }), {
    code: "IN_USE",
    message: /"s" stands on the file "\/disk"/,
  });
});

test("a stack's frozen views are opened by name, count as its clients, and are closed before it", async () => {
  const world = new World();
  await world.stacks.create("s", { on: ["a"], views: ["frozen", "other"] });
  await world.stacks.create("t", { on: ["s@frozen"] });
  assert.deepEqual(world.stacks.listViews(), [
    { volume: "s", name: "frozen", sizeBytes: 2048 },
    { volume: "s", name: "other", sizeBytes: 2048 },
  ]);
  assert.deepEqual(world.stacks.showView("s", "other"), { volume: "s", name: "other", sizeBytes: 2048 });
  assert.throws(() => world.stacks.openView("s", "third"), { code: "SNAPSHOT_NOT_FOUND" });
  assert.throws(() => world.stacks.openView("none", "frozen"), { code: "VOLUME_NOT_FOUND" });
  assert.equal(world.stacks.show("s").clients, 1);
  await assert.rejects(world.stacks.delete("s"), { code: "IN_USE", message: /"t" stands on "s"/ });
  await world.stacks.delete("t");
  const client = world.stacks.openView("s", "other");
  assert.equal(client.sizeBytes, 2048);
  await assert.rejects(world.stacks.delete("s"), { code: "IN_USE", message: /1 client/ });
  await client.close();
  world.closed.length = 0;
  await world.stacks.delete("s");
  assert.deepEqual(world.closed, ["view frozen", "view other", "s"]);
  await assert.rejects(world.stacks.create("s", { on: ["s@frozen"], views: ["frozen"] }), {
    code: "INVALID_CONFIG",
  });
});

test("a stack on another's frozen view is put together after it and taken apart before it", async () => {
  const world = new World();
  await world.stacks.create("z", { on: ["a"], views: ["frozen"] });
  await world.stacks.create("b2", { on: ["z@frozen"] });
  await world.stacks.close();
  world.opened.length = 0;
  world.closed.length = 0;
  world.stacks = world.make();
  assert.deepEqual(world.stacks.listViews(), []);
  await world.stacks.load();
  await world.stacks.close();
  assert.deepEqual(
    [world.opened, world.closed],
    [
      ["z", "b2"],
      ["b2", "view frozen", "z"],
    ],
  );
});

test("stacks are put together from the inside out and taken apart from the outside in", async () => {
  const world = new World();
  await world.stacks.create("z", { on: ["a"] });
  await world.stacks.create("b2", { on: ["z"] });
  await world.stacks.close();
  world.opened.length = 0;
  world.closed.length = 0;
  world.stacks = world.make();
  await world.stacks.load();
  assert.deepEqual(world.opened, ["z", "b2"]);
  await world.stacks.close();
  assert.deepEqual(world.closed, ["b2", "z"]);
});

test("a stack whose member is not there at a start is listed, and put together when it is asked for again", async () => {
  const world = new World();
  await world.stacks.create("s", { on: ["a"] });
  await world.stacks.close();
  world.volumes.delete("a");
  world.stacks = world.make();
  await world.stacks.load();
  assert.equal(world.reports.length, 1);
  assert.equal(world.stacks.show("s").sizeBytes, 8192);
  world.volumes.add("a");
  assert.throws(() => world.stacks.open("s"), { code: "IO_ERROR" });
  await world.stacks.assemble("s");
  await world.stacks.open("s").close();
});

test("stacks that stand on each other by hand are reported and do not hold up the start", async () => {
  const world = new World();
  await world.stacks.create("s", { on: ["a"] });
  await world.stacks.create("t", { on: ["s"] });
  await world.stacks.close();
  world.texts.set("s", world.texts.get("s")!.replace('"a"', '"t"'));
  world.stacks = world.make();
  await world.stacks.load();
  assert.deepEqual(world.reports, ["s: INVALID_CONFIG", "t: INVALID_CONFIG"]);
  await world.stacks.close();
});

test("a damaged description ends the start with its file's name", async () => {
  for (const text of ["{", "[]", '{"version":2}', '{"version":1,"uuid":"x"}']) {
    const world = new World();
    world.texts.set("s", text);
    await assert.rejects(world.stacks.load(), {
      code: "INVALID_CONFIG",
      message: /^stacks\/s\.json is not valid/,
    });
  }
});
