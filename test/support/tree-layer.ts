// Makes one layer of a device tree over devices that a test has at hand.
import { type BlockDevice, buildDeviceTree } from "../../src/device/mod.ts";
import { SteppedClock } from "./stepped-clock.ts";

export interface MadeLayer {
  readonly device: BlockDevice;
  readonly lines: string[];
  readonly clock: SteppedClock;
  /** Of a layer `snapshot`. */
  readonly view: BlockDevice | undefined;
}

/** `members` are taken over. */
export async function makeLayer(
  layer: string,
  members: readonly BlockDevice[],
  parameters: Readonly<Record<string, unknown>> = {},
  clock: SteppedClock = new SteppedClock(),
): Promise<MadeLayer> {
  const lines: string[] = [];
  let view: BlockDevice | undefined;
  const leaves = members.map((_, index) => ({ volume: `m${index}` }));
  const below = ["partition", "cache", "verify", "trace", "fault", "rate"].includes(layer)
    ? { member: leaves[0] }
    : { members: leaves };
  const unexpected = () => Promise.reject(new Error("only volumes are opened"));
  const device = await buildDeviceTree(
    { layer, ...parameters, ...below },
    {
      openVolume: async (name) => members[Number(name.slice(1))]!,
      openFile: unexpected,
      openNbd: unexpected,
      emulate: (member) => member,
      world: { clock, print: (line) => lines.push(line) },
      frozenView: (_where, frozen) => {
        view = frozen;
      },
    },
  );
  return { device, lines, clock, view };
}
