// Suite `nbd`: the daemon over its Unix socket, beside nbdkit, qemu-nbd and itself in other states.
import { measureGroups, type SuiteContext, type SuiteResult } from "../suite.ts";
import { afterSnapshot } from "./after-snapshot.ts";
import { againstPeers } from "./against-peers.ts";
import { againstQcow2 } from "./against-qcow2.ts";
import { manySnapshots } from "./many-snapshots.ts";
import { sizes } from "./sizes.ts";
import { steadyState } from "./steady-state.ts";

export async function nbdSuite(context: SuiteContext): Promise<SuiteResult> {
  const groups = [againstPeers(context), afterSnapshot, manySnapshots, againstQcow2, steadyState];
  const { volumeBytes, snapshotVolumeBytes, steadyVolumeBytes, runtimeMs } = sizes(context);
  const gib = (bytes: number) => `${bytes / 2 ** 30} GiB`;
  return {
    rows: await measureGroups(groups, context),
    method: [
      `fio's nbd engine, one connection over a Unix socket, checksums on; medians of ${context.rounds} rounds of ${runtimeMs / 1000} s,`,
      `servers in rotating order within a round, dirty pages of the round before written back first; volumes of ${gib(volumeBytes)},`,
      `${gib(snapshotVolumeBytes)} for the snapshot under load, ${gib(steadyVolumeBytes)} for overwriting in steady state.`,
    ],
  };
}
