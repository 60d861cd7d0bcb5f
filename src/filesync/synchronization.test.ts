import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { Deferred } from "../base/deferred.ts";
import { RopewalkError } from "../base/errors.ts";
import type { AppendFile } from "../ports/mod.ts";
import { Synchronization } from "./synchronization.ts";
import {
  DEFAULT_SYNCHRONIZATION_SETTINGS,
  type SynchronizationSettings,
} from "./synchronization-settings.ts";
import { LocalConnector, TEST_RANDOM } from "./testing/local-target.ts";
import { MemoryTree } from "./testing/memory-tree.ts";

class MemoryFile implements AppendFile {
  readonly content: Uint8Array = new Uint8Array();
  bytes = 0;
  append(bytes: Uint8Array): void {
    this.bytes += bytes.length;
  }
  async sync(): Promise<void> {}
  clear(): void {
    this.bytes = 0;
  }
  async close(): Promise<void> {}
}

class Synchronized {
  readonly clock = new SteppedClock();
  readonly target: MemoryTree;
  readonly connector: LocalConnector;
  readonly journal = new MemoryFile();
  readonly reports: string[] = [];
  readonly synchronization: Synchronization;
  source: MemoryTree;
  /** What opening the source waits for. */
  opening: Promise<void> = Promise.resolve();
  isMissing = false;
  opens = 0;

  constructor(
    source: MemoryTree,
    target: MemoryTree,
    settings: Partial<SynchronizationSettings> = {},
    others: readonly { readonly to: string; readonly connector: LocalConnector }[] = [],
  ) {
    this.source = source;
    this.target = target;
    this.connector = new LocalConnector(target);
    this.synchronization = new Synchronization({
      name: "home",
      source: "/source",
      openSource: async () => {
        this.opens += 1;
        await this.opening;
        if (this.isMissing) throw new RopewalkError("NOT_FOUND", "no such directory");
        return this.source;
      },
      targets: [{ to: "/copy", connector: this.connector }, ...others].map((each) => ({ ...each, name: "" })),
      id: new Uint8Array(16),
      journal: this.journal,
      clock: this.clock,
      random: TEST_RANDOM,
      report: (sentence) => this.reports.push(sentence),
      settings: { ...DEFAULT_SYNCHRONIZATION_SETTINGS, threads: 2, ...settings },
    });
    this.synchronization.start();
  }

  get state(): string {
    return this.synchronization.figures().state;
  }

  async pass(elapsedMs = 0): Promise<void> {
    for (let turns = 0; turns < 30; turns += 1) await this.clock.step(0);
    await this.clock.step(elapsedMs);
    for (let turns = 0; turns < 30; turns += 1) await this.clock.step(0);
  }

  async stop(): Promise<void> {
    const stopped = this.synchronization.stop();
    await this.pass(10_000);
    await stopped;
  }

  /** The source's root is gone, as the kernel tells it. */
  async loseSource(): Promise<void> {
    this.isMissing = true;
    this.source.emit({ kind: "deletedSelf", watch: this.source.watchOf("")! });
    await this.pass();
  }
}

async function live(
  source: MemoryTree,
  target = new MemoryTree(),
  settings?: Partial<SynchronizationSettings>,
) {
  const synchronized = new Synchronized(source, target, settings);
  await synchronized.pass(100);
  return synchronized;
}

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, "x"]));
}

test("a synchronization copies what is there, then what happens, and says that it is live", async () => {
  const synchronized = await live(new MemoryTree({ d: "/", "d/f": "x" }));
  const { source, target } = synchronized;
  assert.deepEqual([synchronized.state, target.text("d/f")], ["live", "x"]);
  source.write("g", "new");
  source.happened("created", "g");
  const settled = synchronized.synchronization.settled();
  await synchronized.pass(100);
  await settled;
  assert.equal(target.text("g"), "new");
  await synchronized.stop();
  assert.ok(source.isClosed);
});

test("after it is stopped nothing is left: no timer, no connection, no call that waits", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  synchronized.source.happened("written", "f");
  synchronized.source.happened("movedFrom", "f", { cookie: 1 });
  synchronized.connector.cut();
  await synchronized.pass();
  const waiting = assert.rejects(synchronized.synchronization.settled(), { code: "SHUTTING_DOWN" });
  await synchronized.stop();
  await waiting;
  assert.equal(synchronized.clock.pending, 0);
  await assert.rejects(synchronized.synchronization.sync({}), { code: "SHUTTING_DOWN" });
});

test("a comparison that waits for a connection goes on when there is one, however many requests wait", async () => {
  const directories = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`d${index}`, "/"]));
  const synchronized = new Synchronized(new MemoryTree(directories), new MemoryTree(directories));
  const { target, connector } = synchronized;
  let isCut = false;
  target.before = (call, path) => {
    if (call !== "scan" || path === "" || isCut) return;
    isCut = true;
    connector.isCut = true;
    connector.cut();
  };
  await synchronized.pass(1000);
  assert.ok(isCut);
  connector.isCut = false;
  await synchronized.pass(200_000);
  assert.equal(synchronized.state, "live");
  await synchronized.stop();
});

test("a comparison that waits for a connection ends when it is stopped", async () => {
  const synchronized = new Synchronized(new MemoryTree({ d: "/" }), new MemoryTree());
  synchronized.connector.isCut = true;
  await synchronized.pass(1000);
  assert.equal(synchronized.state, "waiting");
  await synchronized.stop();
  assert.equal(synchronized.clock.pending, 0);
});

test("while it is paused nothing is sent, and what happened meanwhile is sent when it goes on", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  const { source, target, synchronization } = synchronized;
  synchronization.pause();
  source.write("f", "later", 2);
  source.happened("written", "f");
  await synchronized.pass(1000);
  assert.deepEqual([synchronized.state, target.text("f")], ["paused", "x"]);
  synchronization.resume();
  await synchronized.pass();
  assert.deepEqual([synchronized.state, target.text("f")], ["live", "later"]);
  await synchronized.stop();
});

test("when the source is gone nothing is removed, and it goes on when the source is back", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  await synchronized.loseSource();
  assert.equal(synchronized.state, "source-missing");
  assert.equal(synchronized.synchronization.figures().error?.code, "SOURCE_MISSING");
  await assert.rejects(synchronized.synchronization.settled(), { code: "SOURCE_MISSING" });
  await synchronized.pass(20_000);
  assert.equal(synchronized.target.text("f"), "x");
  synchronized.isMissing = false;
  synchronized.source.forgetWatch("");
  await synchronized.pass(5000);
  await synchronized.pass(1000);
  assert.equal(synchronized.state, "live");
  await synchronized.stop();
});

test("another directory in the place of the source is refused until somebody says that it is the right one", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  await synchronized.loseSource();
  synchronized.isMissing = false;
  synchronized.source = new MemoryTree({ g: "y" });
  synchronized.source.make("", "directory");
  await synchronized.pass(5000);
  assert.deepEqual([synchronized.state, synchronized.target.paths], ["source-missing", ["f"]]);
  const synced = synchronized.synchronization.sync({ allowDeletes: true });
  await synchronized.pass(1000);
  await synced;
  assert.deepEqual([synchronized.state, synchronized.target.paths], ["live", ["g"]]);
  await synchronized.stop();
});

test("leave to take another directory holds for what is there then, not for what comes later", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  await synchronized.loseSource();
  await assert.rejects(synchronized.synchronization.sync({ allowDeletes: true }), { code: "SOURCE_MISSING" });
  synchronized.isMissing = false;
  synchronized.source = new MemoryTree();
  synchronized.source.make("", "directory");
  await synchronized.pass(20_000);
  assert.deepEqual([synchronized.state, synchronized.target.paths], ["source-missing", ["f"]]);
  await synchronized.stop();
});

test("a source that is begun again by hand while the one before ends is not begun twice", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  const busy = new Deferred();
  synchronized.source.close = () => busy.promise;
  synchronized.source.emit({ kind: "deletedSelf", watch: synchronized.source.watchOf("")! });
  await synchronized.pass();
  const synced = synchronized.synchronization.sync({ allowDeletes: true });
  await synchronized.pass();
  assert.equal(synchronized.opens, 1, "the one before is closed first");
  busy.resolve();
  synchronized.source.close = async () => undefined;
  const opening = new Deferred();
  synchronized.opening = opening.promise;
  await synchronized.pass(20_000);
  opening.resolve();
  await synchronized.pass(1000);
  await synced;
  await synchronized.pass(20_000);
  assert.equal(synchronized.opens, 2);
  await synchronized.stop();
});

test("a synchronization that is stopped while its source is opened does not begin", async () => {
  const synchronized = new Synchronized(new MemoryTree({ f: "x" }), new MemoryTree());
  const opening = new Deferred();
  synchronized.opening = opening.promise;
  await synchronized.pass();
  const stopped = synchronized.synchronization.stop();
  opening.resolve();
  await synchronized.pass();
  await stopped;
  assert.deepEqual([synchronized.source.calls, synchronized.source.isClosed], [[], true]);
});

test("removals that are held are an error of whoever waits, until they are allowed", async () => {
  const synchronized = await live(new MemoryTree({ g: "x" }), new MemoryTree(many(200)));
  assert.equal(synchronized.state, "held");
  const waiting = assert.rejects(synchronized.synchronization.settled(), { code: "MASS_DELETION" });
  await synchronized.pass(100);
  await waiting;
  const synced = synchronized.synchronization.sync({ allowDeletes: true });
  await synchronized.pass(1000);
  assert.equal((await synced).removed, 200);
  assert.deepEqual([synchronized.state, synchronized.target.paths], ["live", ["g"]]);
  await synchronized.stop();
});

test("a comparison that failed is an error of whoever waits, and is tried again", async () => {
  const synchronized = new Synchronized(new MemoryTree({ d: "/", "d/f": "x" }), new MemoryTree({ d: "/" }));
  synchronized.target.before = (call) => {
    if (call === "scan") throw new RopewalkError("IO_ERROR", "the disk");
  };
  await synchronized.pass(100);
  const waiting = assert.rejects(synchronized.synchronization.settled(), { code: "IO_ERROR" });
  await synchronized.pass(100);
  await waiting;
  synchronized.target.before = () => undefined;
  await synchronized.pass(61_000);
  assert.equal(synchronized.target.text("d/f"), "x");
  await synchronized.stop();
});

test("the journal is empty when all is durable at the target, and not before", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  const { source, target, journal } = synchronized;
  await synchronized.pass(3000);
  source.happened("written", "f");
  assert.ok(journal.bytes > 0);
  await synchronized.pass(500);
  assert.ok(journal.bytes > 0, "what was done may still be lost with the target");
  const syncs = target.calls.filter((call) => call === "sync").length;
  await synchronized.pass(3000);
  assert.ok(target.calls.filter((call) => call === "sync").length > syncs);
  assert.equal(journal.bytes, 0);
  await synchronized.stop();
});

test("what happened before a source was lost is sent again when it is back, whatever the attributes say", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  const { source, target, connector } = synchronized;
  connector.isCut = true;
  connector.cut();
  await synchronized.pass();
  source.write("f", "y");
  source.happened("written", "f");
  await synchronized.loseSource();
  connector.isCut = false;
  synchronized.isMissing = false;
  await synchronized.pass(60_000);
  await synchronized.pass(1000);
  assert.equal(target.text("f"), "y");
  await synchronized.stop();
});

test("after a lost connection the target is compared before anybody is told that it is equal", async () => {
  const synchronized = await live(new MemoryTree({ f: "x" }));
  const { target, connector } = synchronized;
  connector.cut();
  target.remove("f");
  await synchronized.pass(1000);
  const settled = synchronized.synchronization.settled();
  await synchronized.pass(1000);
  await settled;
  assert.equal(target.text("f"), "x");
  await synchronized.stop();
});

test("one source has several targets, and one that cannot be reached holds back no other (F14)", async () => {
  const away = new LocalConnector(new MemoryTree());
  away.isCut = true;
  const near = new MemoryTree();
  const source = new MemoryTree({ f: "x" });
  const synchronized = new Synchronized(source, new MemoryTree(), {}, [
    { to: "/away", connector: away },
    { to: "/near", connector: new LocalConnector(near) },
  ]);
  await synchronized.pass(100);
  source.write("g", "new");
  source.happened("created", "g");
  await synchronized.pass(100);
  assert.deepEqual(
    [synchronized.target, near].map((target) => [target.text("f"), target.text("g")]),
    [
      ["x", "new"],
      ["x", "new"],
    ],
  );
  const states = synchronized.synchronization.figures().targets.map(({ to, state }) => [to, state]);
  assert.deepEqual(states, [
    ["/copy", "live"],
    ["/away", "waiting"],
    ["/near", "live"],
  ]);
  away.isCut = false;
  await synchronized.pass(60_000);
  assert.equal(synchronized.synchronization.figures().targets[1]!.state, "live");
  await synchronized.stop();
});
