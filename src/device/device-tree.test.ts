import assert from "node:assert/strict";
import { test } from "node:test";
import { testBlockDevice } from "../../test/support/block-device-conformance.ts";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { bytesAt, pattern, TokenShelf, tokenMemoryDevice } from "../../test/support/token-memory-device.ts";
import { RopewalkError } from "../base/errors.ts";
import type { BlockDevice } from "./block-device.ts";
import {
  buildDeviceTree,
  checkDeviceTree,
  type DeviceTreeOptions,
  filesOf,
  volumesOf,
} from "./device-tree.ts";
import { MemoryDevice } from "./memory-device.ts";

/** Opens volumes of the sizes given; writes down what is opened, closed and emulated. */
function treeWorld(sizes: Record<string, number>): DeviceTreeOptions & { events: string[]; lines: string[] } {
  const events: string[] = [];
  const lines: string[] = [];
  const shelf = new TokenShelf();
  const openNamed = async (name: string): Promise<BlockDevice> => {
    const sizeBytes = sizes[name];
    if (sizeBytes === undefined) throw new RopewalkError("VOLUME_NOT_FOUND", `no ${name}`);
    events.push(`open ${name}`);
    const device = name.startsWith("/")
      ? new MemoryDevice({ sizeBytes })
      : tokenMemoryDevice(shelf, { sizeBytes, name });
    const close = device.close.bind(device);
    device.close = () => {
      events.push(`close ${name}`);
      return close();
    };
    return device;
  };
  return {
    events,
    lines,
    openVolume: openNamed,
    openFile: openNamed,
    openNbd: openNamed,
    emulate: (device, id) => {
      events.push(`emulate ${id}`);
      return device;
    },
    world: { clock: new SteppedClock({ jumps: true }), print: (line) => lines.push(line) },
  };
}

const MIB = 1024 * 1024;

testBlockDevice("a tree of all layers", {
  runs: 8,
  sizeBytes: 128 * 4096,
  open: async (sizeBytes) => {
    const half = sizeBytes / 2;
    const stack = {
      layer: "cache",
      bytesMax: "64KiB",
      blockBytes: 4096,
      member: {
        layer: "verify",
        member: {
          layer: "snapshot",
          chunkBytes: 4096,
          members: [
            {
              layer: "copies",
              regionBytes: 65_536,
              members: [
                {
                  layer: "stripe",
                  chunkBytes: 1024,
                  members: [{ volume: "a" }, { layer: "rate", member: { volume: "b" } }],
                },
                {
                  layer: "span",
                  members: [
                    { layer: "partition", lengthBytes: half, member: { volume: "c" } },
                    { layer: "partition", offsetBytes: half, member: { volume: "c" } },
                  ],
                },
              ],
            },
            { volume: "store" },
          ],
        },
      },
    };
    return await buildDeviceTree(stack, treeWorld({ a: half, b: half, c: sizeBytes, store: sizeBytes }));
  },
});

test("a leaf that is named twice is opened once, and closed once with the tree", async () => {
  const world = treeWorld({ a: MIB });
  const half = (offsetBytes: number) => ({
    layer: "partition",
    offsetBytes,
    lengthBytes: MIB / 2,
    member: { volume: "a" },
  });
  const device = await buildDeviceTree({ layer: "span", members: [half(MIB / 2), half(0)] }, world);
  await device.write(0, pattern(4096, 1), 0);
  assert.deepEqual(await bytesAt(device, 0, 4096), pattern(4096, 1));
  await device.close();
  assert.deepEqual(world.events, ["open a", "close a"]);
});

test("only leaves without token copies are emulated, each by its name", async () => {
  const world = treeWorld({ a: MIB, "/disk": MIB });
  const device = await buildDeviceTree(
    { layer: "span", members: [{ volume: "a" }, { file: "/disk" }] },
    world,
  );
  assert.deepEqual(world.events, ["open a", "open /disk", "emulate file:/disk"]);
  await device.close();
});

test("what was opened is closed when a later member cannot be opened or does not fit", async () => {
  const world = treeWorld({ a: MIB, b: 2 * MIB });
  await assert.rejects(
    buildDeviceTree({ layer: "span", members: [{ volume: "a" }, { volume: "c" }] }, world),
    {
      code: "VOLUME_NOT_FOUND",
    },
  );
  assert.deepEqual(world.events.splice(0), ["open a", "close a"]);
  await assert.rejects(
    buildDeviceTree({ layer: "stripe", members: [{ volume: "a" }, { volume: "b" }] }, world),
    {
      code: "INVALID_CONFIG",
      message: /^stack needs members of one size; they have 1048576, 2097152\.$/,
    },
  );
  assert.deepEqual(world.events.splice(0), ["open a", "open b", "close a", "close b"]);
});

test("frozen views are told by their names, and two of one name are refused", async () => {
  const stack = (outer: object) => ({
    layer: "snapshot",
    ...outer,
    members: [{ layer: "snapshot", members: [{ volume: "a" }, { volume: "b" }] }, { volume: "c" }],
  });
  const sizes = { a: 4096, b: 4096, c: 4096 };
  const world = treeWorld(sizes);
  const told: string[] = [];
  const frozenView: DeviceTreeOptions["frozenView"] = ({ name, where }, view) =>
    void told.push(`${name} at ${where}, ${view.sizeBytes}`);
  const device = await buildDeviceTree(stack({ viewName: "outer" }), { ...world, frozenView });
  assert.deepEqual(told, ["frozen at stack.members[0], 4096", "outer at stack, 4096"]);
  await device.close();

  const refused = treeWorld(sizes);
  await assert.rejects(buildDeviceTree(stack({}), refused), { code: "INVALID_CONFIG", message: /"frozen"/ });
  const count = (what: string) => refused.events.filter((event) => event.startsWith(what)).length;
  assert.deepEqual([count("open"), count("close")], [3, 3]);
  assert.throws(() => checkDeviceTree(stack({ viewName: "Outer" })), {
    code: "INVALID_CONFIG",
    message: /stack\.viewName: "Outer" cannot name/,
  });
});

test("the volumes and files of a description are told without opening any", () => {
  const stack = {
    layer: "copies",
    members: [
      { volume: "a" },
      { layer: "span", members: [{ volume: "b@s" }, { file: "/x" }, { volume: "a" }, { nbd: "nbd://h/" }] },
    ],
  };
  assert.deepEqual(volumesOf(stack), ["a", "b@s"]);
  assert.deepEqual(filesOf(stack), ["/x"]);
});

test("every mistake in a description is INVALID_CONFIG and says where and what", () => {
  const leaf = { volume: "a" };
  let deep: unknown = leaf;
  for (let depth = 0; depth < 16; depth++) deep = { layer: "verify", member: deep };
  const wide = { layer: "span", members: Array.from({ length: 64 }, () => leaf) };
  const mistakes: [description: unknown, message: RegExp][] = [
    [null, /^stack must be an object\.$/],
    [[leaf], /^stack must be an object/],
    [{}, /^stack must have a layer, or exactly one of volume, file, nbd\.$/],
    [{ volume: "a", file: "/x" }, /^stack must have a layer, or exactly one/],
    [{ volume: "A" }, /^stack\.volume: "A" cannot name a volume/],
    [{ volume: 7 }, /^stack\.volume must be a text/],
    [{ file: "disk" }, /^stack\.file must be an absolute path/],
    [{ file: "/a\0b" }, /^stack\.file must be a text/],
    [{ nbd: "http://x" }, /^stack\.nbd must begin with nbd:\/\/ or nbd\+unix:\/\//],
    [{ layer: "sponge" }, /^stack names the layer "sponge"; known are partition, span, stripe, copies/],
    [{ layer: 7 }, /^stack names no layer/],
    [{ layer: "stripe" }, /^stack has no members/],
    [{ layer: "stripe", member: leaf }, /^stack has a member; stripe has a list of members/],
    [{ layer: "stripe", members: leaf }, /^stack\.members must be a list/],
    [{ layer: "copies", members: [leaf] }, /^stack\.members has 1 entries; copies needs 2 or more/],
    [{ layer: "snapshot", members: [leaf, leaf, leaf] }, /^stack\.members has 3 entries; at most 2/],
    [{ layer: "partition", index: 1 }, /^stack has no member/],
    [{ layer: "partition", members: [leaf] }, /^stack has members; partition has one member/],
    [{ layer: "stripe", chunk: 1, members: [leaf] }, /^stack has no parameter "chunk"; it knows chunkBytes/],
    [
      { layer: "span", members: [leaf, { layer: "trace", member: { volume: "-" } }] },
      /^stack\.members\[1\]\.member\.volume: /,
    ],
    [deep, /^stack(\.member){16} is nested deeper than 16/],
    [{ layer: "span", members: [wide, wide, wide, wide] }, /is one more than the 256 devices allowed/],
  ];
  for (const [description, message] of mistakes) {
    assert.throws(
      () => checkDeviceTree(description),
      { code: "INVALID_CONFIG", message },
      JSON.stringify(description).slice(0, 200),
    );
  }
});
