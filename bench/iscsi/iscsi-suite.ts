// Suite `iscsi`: the daemon's iSCSI target over loopback, beside tgt.
import { measureGroups, type SuiteContext, type SuiteResult } from "../suite.ts";
import { againstTgt } from "./against-tgt.ts";
import { iscsiSizes } from "./iscsi-sizes.ts";
import { TgtServer } from "./tgt-server.ts";

export async function iscsiSuite(context: SuiteContext): Promise<SuiteResult> {
  const { volumeBytes, readSeconds, smallRequests, largeRequests } = iscsiSizes(context);
  return {
    rows: await measureGroups([againstTgt(context)], context),
    method: [
      `One session over TCP on loopback, no digests, checksums on; units of ${volumeBytes / 2 ** 30} GiB; medians of ${context.rounds} rounds, servers in`,
      `rotating order within a round, dirty pages written back first. iscsi-perf for ${readSeconds} s, qemu-img bench with ${smallRequests}`,
      `requests of 4 KiB and ${largeRequests} of 128 KiB. Peer: tgt ${await TgtServer.version()}, a file behind its default backing store.`,
    ],
  };
}
