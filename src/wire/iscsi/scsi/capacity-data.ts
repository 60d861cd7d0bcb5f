/**
 * READ CAPACITY data and GET LBA STATUS data (SBC-3, 5.5, 5.15 and 5.16).
 *
 * Always holds: lengths are in blocks unless the name says otherwise.
 */

import type { Provisioning } from "./inquiry-data.ts";

export interface Capacity {
  readonly blocks: number;
  readonly blockBytes: number;
  readonly provisioning: Provisioning;
}

/** READ CAPACITY (10): FFFFFFFFh as the last block says that the long command must be asked. */
export function capacityShort({ blocks, blockBytes }: Capacity): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.min(Math.max(blocks - 1, 0), 0xffffffff));
  view.setUint32(4, blockBytes);
  return bytes;
}

/**
 * READ CAPACITY (16). A physical block is a logical one: each is written on its own, whole or not at all; which lengths are
 * cheap is said by the block limits page.
 */
export function capacityLong({ blocks, blockBytes, provisioning }: Capacity): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(Math.max(blocks - 1, 0)));
  view.setUint32(8, blockBytes);
  bytes[14] = (provisioning.isThin ? 0x80 : 0) | (provisioning.isThin && provisioning.readsZeros ? 0x40 : 0);
  return bytes;
}

export type ProvisioningStatus = "mapped" | "deallocated";

export interface LbaStatus {
  readonly lba: number;
  readonly blocks: number;
  readonly status: ProvisioningStatus;
}

export const LBA_STATUS_HEADER_BYTES = 8;
export const LBA_STATUS_BYTES = 16;

export function lbaStatusData(descriptors: readonly LbaStatus[]): Uint8Array {
  const bytes = new Uint8Array(LBA_STATUS_HEADER_BYTES + LBA_STATUS_BYTES * descriptors.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  descriptors.forEach(({ lba, blocks, status }, index) => {
    const at = LBA_STATUS_HEADER_BYTES + LBA_STATUS_BYTES * index;
    view.setBigUint64(at, BigInt(lba));
    view.setUint32(at + 8, blocks);
    bytes[at + 12] = status === "deallocated" ? 1 : 0;
  });
  return bytes;
}
