/**
 * What stands where on a simulated disk: the units that requests wrote, recognized by their stamps, and
 * everything else that is not zeros, which is metadata.
 * Always holds: each byte of a sector with metadata in it is metadata, unless it belongs to a unit of data.
 */
import type { Machine } from "./machine.ts";
import { unitBytes } from "./unit-content.ts";

export interface DataPlace {
  readonly file: string;
  readonly offset: number;
  /** A map refers to a unit with this content, and it stands nowhere else. */
  readonly live: boolean;
}

/** A stretch of bytes of one file. */
export interface Stretch {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export interface DiskSurvey {
  readonly data: readonly DataPlace[];
  readonly metadata: readonly Stretch[];
  /** Sectors that hold nothing but zeros. */
  readonly empty: readonly Stretch[];
}

/** Records begin at multiples of this. */
const alignment = 8;

export function surveyDisk(machine: Machine): DiskSurvey {
  const found: { file: string; offset: number; stamp: number }[] = [];
  const metadata: Stretch[] = [];
  const empty: Stretch[] = [];
  const files = [...machine.disk.directory.names].sort(([one], [other]) => (one < other ? -1 : 1));
  for (const [file, { sizeBytes }] of files) {
    const bytes = machine.disk.file(file).durableBytes();
    const isData = new Uint8Array(sizeBytes);
    for (let offset = 0; offset + unitBytes <= sizeBytes; ) {
      const stamp = machine.content.stampOf(bytes.subarray(offset, offset + unitBytes));
      if (stamp === undefined) offset += alignment;
      else {
        found.push({ file, offset, stamp });
        isData.fill(1, offset, offset + unitBytes);
        offset += unitBytes;
      }
    }
    for (let sector = 0; sector < sizeBytes; sector += unitBytes) {
      const end = Math.min(sector + unitBytes, sizeBytes);
      let start = sector;
      let holdsMetadata = false;
      for (let offset = sector; offset < end; offset++)
        if (bytes[offset] !== 0 && isData[offset] === 0) holdsMetadata = true;
      if (!holdsMetadata) {
        if (bytes.subarray(sector, end).every((byte) => byte === 0))
          empty.push({ file, offset: sector, length: end - sector });
        continue;
      }
      for (let offset = sector; offset <= end; offset++) {
        if (offset < end && isData[offset] === 0) continue;
        if (offset > start) metadata.push({ file, offset: start, length: offset - start });
        start = offset + 1;
      }
    }
  }
  const live = liveStamps(machine);
  const count = new Map<number, number>();
  for (const { stamp } of found) count.set(stamp, (count.get(stamp) ?? 0) + 1);
  const data = found.map(({ file, offset, stamp }) => ({
    file,
    offset,
    live: live.has(stamp) && count.get(stamp) === 1,
  }));
  return { data, metadata, empty };
}

function liveStamps(machine: Machine): Set<number> {
  const live = new Set<number>();
  for (const { map } of machine.history.current.maps())
    for (const offset of map.chunkOffsets())
      for (const stamp of map.stamps(offset / unitBytes, 128)) live.add(stamp);
  return live;
}
