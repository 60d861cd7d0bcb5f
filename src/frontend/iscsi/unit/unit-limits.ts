/**
 * How much one command may ask for: what VPD page B0h says and the commands keep to.
 *
 * Always holds: lengths are in blocks; an atomic write, and a compare and write, fit into one request of the device.
 */

import type { BlockDevice } from "../../../device/mod.ts";
import { type BlockLimits, type Provisioning, UNMAP_DESCRIPTORS_MAX } from "../../../wire/iscsi/scsi/mod.ts";

/** A transfer is buffered whole; a device that takes less at once gets it in pieces. */
const TRANSFER_BYTES_MAX = 32 * 1024 * 1024;
/** What the pool stores at once; unmapping less gives nothing back. */
const GRANULARITY_BYTES = 4096;
const COMPARE_BLOCKS_MAX = 255;
const BLOCKS_MAX = 0xffffffff;

export function unitLimits(device: BlockDevice, blockBytes: number, provisioning: Provisioning): BlockLimits {
  const { maximumRequestBytes } = device.geometry;
  const transferBlocksMax = TRANSFER_BYTES_MAX / blockBytes;
  const atomicBlocksMax = Math.min(transferBlocksMax, Math.floor(maximumRequestBytes / blockBytes));
  return {
    compareBlocksMax: Math.min(COMPARE_BLOCKS_MAX, atomicBlocksMax),
    granularityBlocks: GRANULARITY_BYTES / blockBytes,
    transferBlocksMax,
    transferBlocksBest: transferBlocksMax,
    unmapBlocksMax: provisioning.isThin ? BLOCKS_MAX : 0,
    unmapDescriptorsMax: provisioning.isThin ? UNMAP_DESCRIPTORS_MAX : 0,
    // A pattern other than zeros is written out: one command writes no more than one with data of its own.
    writeSameBlocksMax: transferBlocksMax,
    atomicBlocksMax,
  };
}
