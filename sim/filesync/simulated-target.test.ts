/** The target's end: bundles, power failures, and connections that end at any point. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RopewalkError } from "../../src/base/errors.ts";
import { TargetLink } from "../../src/filesync/mod.ts";
import { BundleWriter, type Operation } from "../../src/wire/filesync/mod.ts";
import { SimulatedClock } from "../simulated-clock.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { SimulatedExchange } from "./simulated-exchange.ts";
import { SimulatedNetwork } from "./simulated-network.ts";
import { SimulatedTarget } from "./simulated-target.ts";
import { SimulatedTargetDisk } from "./simulated-target-disk.ts";
import { SimulatedTargetTree } from "./simulated-target-tree.ts";
import { SimulatedTree } from "./simulated-tree.ts";
import { WireRules } from "./wire-rules.ts";

const none = new Uint8Array(0);

function file(path: string, text: string): Operation {
  const bytes = Buffer.from(text);
  const attributes = {
    kind: "file",
    mode: 0o640,
    userId: 1,
    groupId: 2,
    sizeBytes: bytes.length,
    modifiedSeconds: 5,
    modifiedNanoseconds: 6,
    deviceNode: 0,
  } as const;
  return { op: "file", path, attributes, extended: none, extents: [{ offset: 0, bytes }] };
}

function bundle(...operations: Operation[]): Uint8Array {
  const writer = new BundleWriter(100_000);
  for (const operation of operations) assert.ok(writer.add(operation));
  return writer.take();
}

function target(seed: number) {
  const clock = new SimulatedClock();
  const random = new SimulatedRandom(seed);
  const tree = new SimulatedTree({ nowMs: () => clock.nowMs, tickMs: 1, device: 2 });
  const disk = new SimulatedTargetDisk(tree, { orderly: false, visible: () => undefined });
  const rules = new WireRules({ barrier: "tree", broken: (error) => clock.fail(error) });
  const note = () => undefined;
  const daemon = new SimulatedTarget({ clock, random, disk, rules, callMsMax: 1, note });
  const network = new SimulatedNetwork({ clock, random, latencyMsMax: 2, slowChance: 0 });
  const process = clock.startProcess();
  const connect = () => {
    const exchange = new SimulatedExchange(process);
    const end = daemon.accept(1);
    const wire = network.wire(exchange.end, end.end);
    exchange.opened(wire);
    end.opened(wire);
    return new TargetLink({
      exchange,
      random,
      key: undefined,
      connections: 2,
      sourceHost: "h",
      sourceDirectory: "/",
    });
  };
  const hello = (number: number) =>
    ({
      role: number === 0 ? "main" : "sync",
      number,
      target: "target",
      synchronization: new Uint8Array(16),
      modes: ["full"],
      deletes: "mirror",
    }) as const;
  return { clock, disk, tree, network, daemon, connect, hello, random };
}

const paths = (tree: SimulatedTree) => [...tree.walk()].map(([path]) => path).toSorted();

test("a bundle is applied operation by operation, and one that fails does not stop the others", async () => {
  const { clock, disk, tree, random } = target(1);
  const around = { clock: clock.startProcess(), random, callMsMax: 1 };
  const result = await clock.run(
    new SimulatedTargetTree(disk, around).apply(
      bundle(
        file("d/f", "content"),
        { op: "rename", from: "not there", to: "x" },
        { op: "link", path: "g", existing: "d/f" },
        { op: "remove", path: "d", recursive: false },
      ),
    ),
  );
  assert.deepEqual(paths(tree), ["d", "d/f", "g"]);
  assert.equal(tree.at("g"), tree.at("d/f"));
  assert.deepEqual(
    result.failures.map(({ operation, errno }) => [operation, errno]),
    [
      [1, "ENOENT"],
      [3, "ENOTEMPTY"],
    ],
  );
  assert.equal(result.done, 2);
  const { mode, modified } = tree.at("g");
  assert.deepEqual([mode, modified], [0o640, { seconds: 5, nanoseconds: 6 }]);
});

test("a power failure takes only what was not synced", async () => {
  let lost = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const { clock, disk, tree, random } = target(seed);
    const tested = new SimulatedTargetTree(disk, { clock: clock.startProcess(), random, callMsMax: 1 });
    await clock.run(
      (async () => {
        await tested.apply(bundle(file("kept", "1"), file("moved", "2")));
        await tested.sync();
        await tested.apply(bundle(file("new", "3"), { op: "rename", from: "moved", to: "elsewhere" }));
      })(),
    );
    disk.powerFails(random);
    assert.equal(Buffer.from(tree.at("kept").content).toString(), "1");
    // Operations keep their order: the later one is there only with the earlier.
    if (tree.find("elsewhere") !== undefined) assert.ok(tree.find("new") !== undefined);
    else assert.equal(Buffer.from(tree.at("moved").content).toString(), "2");
    lost += Number(tree.find("elsewhere") === undefined);
  }
  assert.ok(lost > 0 && lost < 20, `${lost} of 20`);
});

test("a connection that is cut rejects what was asked, which was done or was not", async () => {
  let done = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const { clock, tree, network, connect, hello, random } = target(seed);
    await clock.run(
      (async () => {
        const link = connect();
        await link.hello(hello(0));
        const asked = link.apply(bundle(file("f", "content")), 1);
        clock.schedule(random.fraction() * 4, () => network.cut("all"));
        const outcome = await asked.then(
          () => "answered",
          (error: RopewalkError) => error.code,
        );
        assert.ok(outcome === "UNREACHABLE" || tree.find("f") !== undefined, outcome);
        await new Promise<void>((resolve) => void clock.schedule(3000, resolve));
      })(),
    );
    done += Number(tree.find("f") !== undefined);
  }
  assert.ok(done > 0 && done < 30, `${done} of 30`);
});

test("the reply to a hello comes when nothing of the older connection of that number is under way", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { clock, tree, connect, hello } = target(seed);
    await clock.run(
      (async () => {
        const old = connect();
        await old.hello(hello(0));
        old
          .apply(bundle(...Array.from({ length: 20 }, (_, number) => file(`f${number}`, "x"))), 20)
          .catch(() => undefined);
        await new Promise<void>((resolve) => void clock.schedule(4, resolve));
        const other = connect();
        await other.hello(hello(0));
        const before = paths(tree);
        await new Promise<void>((resolve) => void clock.schedule(1000, resolve));
        assert.deepEqual(paths(tree), before);
      })(),
    );
  }
});

test("what a killed target did stays, and nothing more is done", async () => {
  const { clock, tree, connect, hello, daemon } = target(5);
  await clock.run(
    (async () => {
      const link = connect();
      await link.hello(hello(0));
      await link.apply(bundle(file("f", "x")), 1);
      void link
        .apply(bundle(...Array.from({ length: 50 }, (_, number) => file(`g${number}`, "x"))), 50)
        .catch(() => undefined);
      await new Promise<void>((resolve) => void clock.schedule(4, resolve));
      daemon.kill();
      const before = paths(tree);
      await new Promise<void>((resolve) => void clock.schedule(1000, resolve));
      assert.deepEqual(paths(tree), before);
      assert.ok(before.includes("f"));
    })(),
  );
});
