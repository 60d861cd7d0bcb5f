/**
 * The layer `snapshot`: keeps a frozen view of its first member, in the second one what was overwritten since.
 * Manual: snapshot.md. Errors: INVALID_CONFIG when the store is too small or cannot be written.
 */
import { checkDevice } from "../checked-device.ts";
import { FrozenView } from "./frozen-view.ts";
import { type GivenParameters, invalid } from "./parameters.ts";
import { SnapshotDevice } from "./snapshot-device.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const STORE_FAILURES = ["dropView", "failWrites"] as const;

const TABLE = {
  chunkBytes: { type: "size", unit: "bytes", minimum: 4096, maximum: 64 * 1024 * 1024, default: 65_536 },
  whenStoreFails: { type: "choice", choices: STORE_FAILURES, default: "dropView" },
  viewName: { type: "name", default: "frozen" },
} as const;
/** Each is a bit in memory: 128 MiB. */
const CHUNKS_MAX = 2 ** 30;

/** As a description gives them. */
export type GivenSnapshotParameters = GivenParameters<typeof TABLE>;

export const snapshotLayer: TreeLayerKind<typeof TABLE> = {
  name: "snapshot",
  parameters: TABLE,
  membersMin: 2,
  membersMax: 2,
  create: ([origin, store], { chunkBytes, whenStoreFails, viewName }, { where, world, frozenView }) => {
    if (store!.sizeBytes < origin!.sizeBytes)
      throw invalid(where, `has a store of ${store!.sizeBytes} bytes for an origin of ${origin!.sizeBytes}`);
    if (!store!.capabilities.writable) throw invalid(where, "has a store that cannot be written");
    if (origin!.sizeBytes / chunkBytes > CHUNKS_MAX)
      throw invalid(where, `has more than ${CHUNKS_MAX} chunks; make chunkBytes larger`);
    const device = new SnapshotDevice({
      origin: origin!,
      store: store!,
      chunkBytes,
      whenStoreFails,
      print: (line) => world.print(`snapshot at ${where}: ${line}`),
    });
    const { minimumBlockBytes } = device.geometry;
    if (chunkBytes % minimumBlockBytes !== 0)
      throw invalid(
        where,
        `has chunks of ${chunkBytes} bytes, which are not whole blocks of ${minimumBlockBytes}`,
      );
    if (origin!.sizeBytes % minimumBlockBytes !== 0)
      throw invalid(
        where,
        `has an origin that is not whole blocks of its store's ${minimumBlockBytes} bytes`,
      );
    frozenView({ name: viewName, where }, checkDevice(new FrozenView(device)));
    return device;
  },
};
