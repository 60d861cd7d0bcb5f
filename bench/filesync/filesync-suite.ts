// Suite `filesync`: directory trees replicated from one daemon to another over TCP on loopback, beside rsync, lsyncd and
// Unison.
import { measureGroups, type SuiteContext, type SuiteResult } from "../suite.ts";
import { changedBlock } from "./changed-block.ts";
import { DaemonPair } from "./daemon-pair.ts";
import { delayedLink, LINK } from "./delayed-link.ts";
import { directoryRename } from "./directory-rename.ts";
import { filesyncSizes } from "./filesync-sizes.ts";
import { firstCopyOfLargeFiles, firstCopyOfSmallFiles } from "./first-copies.ts";
import { LargeTree } from "./large-tree.ts";
import { bulkLatency, liveLatency } from "./live-latency.ts";
import { livePeerVersions } from "./live-peers.ts";
import { noChange } from "./no-change.ts";
import { RsyncDaemon } from "./rsync-daemon.ts";

export async function filesyncSuite(context: SuiteContext): Promise<SuiteResult> {
  const tree = new LargeTree(context);
  await using daemons = new DaemonPair(context, "filesync");
  const { live } = filesyncSizes(context);
  const groups = [
    firstCopyOfSmallFiles(context, daemons),
    firstCopyOfLargeFiles(context, daemons),
    noChange(context, tree),
    liveLatency(context, { tree, daemons }),
    bulkLatency(context, { tree, daemons }),
    directoryRename(context, daemons),
    changedBlock(context, daemons),
    delayedLink(context, daemons),
  ];
  return {
    rows: await measureGroups(groups, context),
    method: [
      `Two daemons over TCP on loopback, four connections where the row says no other number; medians of ${context.rounds} rounds,`,
      `contestants in rotating order within a round, dirty pages written back first. Live changes for ${live.seconds} s. Delayed link:`,
      `${LINK.delayMs} ms each way, ${LINK.stallShare * 100} % of the pieces stall for ${LINK.stallMs} ms, ${LINK.windowBytes / 1024} KiB on the way for each connection and direction.`,
      `Peers: ${[await RsyncDaemon.version(), ...(await livePeerVersions())].join("; ")}.`,
    ],
  };
}
