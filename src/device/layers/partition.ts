/**
 * The layer `partition`: one partition of a device, found in its table or given by offset and length. Manual: partition.md.
 * Always holds: the part lies inside the device. Errors: INVALID_CONFIG when there is no such part.
 */
import type { BlockDevice } from "../block-device.ts";
import type { ByteRange } from "../offload.ts";
import { type GivenParameters, invalid, type Parameters } from "./parameters.ts";
import { PartitionDevice } from "./partition-device.ts";
import { readPartitionTable, TableProblem } from "./partition-table.ts";
import type { TreeLayerKind } from "./tree-layer.ts";

const PLACE = {
  type: "size",
  unit: "bytes",
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  default: 0,
} as const;

const TABLE = {
  index: { type: "integer", unit: "", minimum: 0, maximum: 4096, default: 0 },
  offsetBytes: PLACE,
  lengthBytes: PLACE,
} as const;

/** As a description gives them. */
export type GivenPartitionParameters = GivenParameters<typeof TABLE>;

export const partitionLayer: TreeLayerKind<typeof TABLE> = {
  name: "partition",
  parameters: TABLE,
  membersMin: 1,
  membersMax: 1,
  create: async ([member], parameters, { where }) => {
    const range = await rangeOf(member!, parameters, where);
    const { minimumBlockBytes } = member!.geometry;
    if (range.offsetBytes % minimumBlockBytes !== 0)
      throw invalid(
        where,
        `begins at ${range.offsetBytes}, which is not at a block of ${minimumBlockBytes} bytes`,
      );
    const lengthBytes = range.lengthBytes - (range.lengthBytes % minimumBlockBytes);
    if (lengthBytes === 0) throw invalid(where, "has no bytes");
    return new PartitionDevice(member!, { offsetBytes: range.offsetBytes, lengthBytes });
  },
};

async function rangeOf(
  device: BlockDevice,
  { index, offsetBytes, lengthBytes }: Parameters<typeof TABLE>,
  where: string,
): Promise<ByteRange> {
  if (index === 0) {
    const restBytes = device.sizeBytes - offsetBytes;
    if (restBytes <= 0 || lengthBytes > restBytes)
      throw invalid(where, `reaches past the end of its member, which has ${device.sizeBytes} bytes`);
    return { offsetBytes, lengthBytes: lengthBytes === 0 ? restBytes : lengthBytes };
  }
  if (offsetBytes !== 0 || lengthBytes !== 0)
    throw invalid(where, "has both an index and an offset or length; give one of them");
  try {
    const partitions = await readPartitionTable(device);
    const found = partitions.find(({ number }) => number === index);
    if (found !== undefined) return found;
    const numbers = partitions.map(({ number }) => number).join(", ");
    throw invalid(where, `names partition ${index}; there ${numbers === "" ? "are none" : `is ${numbers}`}`);
  } catch (error) {
    if (error instanceof TableProblem) throw invalid(where, `cannot be found: ${error.message}`);
    throw error;
  }
}
