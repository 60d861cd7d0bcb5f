/**
 * Holds a map's extents against the model: `extents` fails when the list has gaps, when what holds data is
 * called empty, or when what was given back still counts as data; `depth` the same for allocation depths.
 */
import type { BlockDevice, Extent } from "../../src/device/mod.ts";
import type { MapRef } from "../../src/pool/mod.ts";
import { CheckFailed } from "../check-failed.ts";
import type { Life } from "../machine.ts";
import { chunkBytes, type MapModel } from "../map-model.ts";
import { pageBytes } from "../unit-content.ts";

export async function checkExtents(
  life: Life,
  name: string,
  device: BlockDevice,
  map: MapModel,
  extentsMax: number,
): Promise<void> {
  const fail = (sentence: string): never => {
    throw new CheckFailed("extents", `${name}: ${sentence}`);
  };
  const chunks = map.chunkOffsets();
  for (let at = 0; at < map.sizeBytes; ) {
    const list = await life.must(
      (async (): Promise<Extent[]> => device.extents(at, map.sizeBytes - at, extentsMax))(),
      `extents of ${name}`,
    );
    if (list.length === 0 || list.length > extentsMax) fail(`${list.length} extents at ${at}`);
    for (const [index, extent] of list.entries()) {
      if (extent.offsetBytes !== at) fail(`an extent begins at ${extent.offsetBytes} instead of ${at}`);
      if (extent.lengthBytes <= 0) fail(`an extent at ${at} is empty`);
      if (index > 0 && list[index - 1]!.kind === extent.kind) fail(`two extents of one kind meet at ${at}`);
      const end = extent.offsetBytes + extent.lengthBytes;
      if (end > map.sizeBytes) fail(`an extent ends at ${end}, behind the end`);
      if (extent.kind === "data") checkData(map, at, end, fail);
      else checkEmpty(map, chunks, at, end, fail);
      at = end;
    }
  }
}

function checkData(map: MapModel, from: number, to: number, fail: (sentence: string) => never): void {
  for (let page = Math.floor(from / pageBytes); page * pageBytes < to; page++)
    if (map.pageKind(page) === "empty")
      fail(`the page at ${page * pageBytes} counts as data, but holds none`);
}

function checkEmpty(
  map: MapModel,
  chunks: readonly number[],
  from: number,
  to: number,
  fail: (sentence: string) => never,
): void {
  for (const chunk of chunks) {
    if (chunk + chunkBytes <= from || chunk >= to) continue;
    const last = Math.min(to, chunk + chunkBytes);
    for (let page = Math.floor(Math.max(from, chunk) / pageBytes); page * pageBytes < last; page++)
      if (map.pageKind(page) === "data")
        fail(`the page at ${page * pageBytes} counts as empty, but holds data`);
  }
}

/** Where a map holds data something is allocated: depth 1 or more; the list covers the map without gaps. */
export async function checkDepth(life: Life, name: string, ref: MapRef, map: MapModel): Promise<void> {
  const fail = (sentence: string): never => {
    throw new CheckFailed("depth", `${name}: ${sentence}`);
  };
  const pieces = await life.must(
    life.pool.allocationDepth(ref, 0, map.sizeBytes, Number.POSITIVE_INFINITY),
    `allocation depth of ${name}`,
  );
  const chunks = map.chunkOffsets();
  let at = 0;
  for (const { lengthBytes, depth } of pieces) {
    if (lengthBytes <= 0 || depth < 0 || depth > 2) fail(`${lengthBytes} bytes of depth ${depth} at ${at}`);
    if (depth === 0) checkEmpty(map, chunks, at, at + lengthBytes, fail);
    at += lengthBytes;
  }
  if (at !== map.sizeBytes) fail(`depths are told for ${at} of ${map.sizeBytes} bytes`);
}
