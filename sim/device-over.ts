// A device whose requests pass through, but for those that are given: it makes no tokens.
import type { BlockDevice } from "../src/device/mod.ts";

type Requests = Pick<BlockDevice, "write" | "zero" | "trim">;

export function deviceOver(base: BlockDevice, requests: Partial<Requests>): BlockDevice {
  const { geometry, capabilities } = base;
  return {
    geometry,
    capabilities,
    offload: undefined,
    get sizeBytes() {
      return base.sizeBytes;
    },
    read: (offset, target) => base.read(offset, target),
    write: (offset, source, flags) => base.write(offset, source, flags),
    zero: (offset, length, flags) => base.zero(offset, length, flags),
    trim: (offset, length, flags) => base.trim(offset, length, flags),
    flush: () => base.flush(),
    extents: (offset, length, extentsMax) => base.extents(offset, length, extentsMax),
    close: () => base.close(),
    ...requests,
  };
}
