// Suite `pool`: the engine on a real disk without any front end, in processes of its own.
import { measureGroups, type SuiteContext, type SuiteResult } from "../suite.ts";
import { engine } from "./engine.ts";
import { grafts } from "./grafts.ts";
import { poolSizes, sizeText } from "./pool-sizes.ts";
import { thinVolume } from "./thin-volume.ts";

export async function poolSuite(context: SuiteContext): Promise<SuiteResult> {
  const { thinBytes, engineVolumeBytes } = poolSizes(context);
  return {
    rows: await measureGroups([engine, thinVolume(context), grafts(context)], context),
    method: [
      `The pool in a process of its own, without a socket, checksums on; medians of ${context.rounds} rounds. The engine on a`,
      `volume of ${sizeText(engineVolumeBytes)} that was filled before; opening, memory, snapshots and differences on a thin volume of`,
      `${sizeText(thinBytes)} with 4 KiB writes spread over all of it; grafts from a volume written in order. A snapshot's stall is the`,
      "longest that any request took that was under way while the snapshot was.",
    ],
  };
}
