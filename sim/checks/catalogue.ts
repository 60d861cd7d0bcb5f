/**
 * Holds the pool's lists against the model: volumes with name, id, size, origin and number of snapshots;
 * snapshots with their sequence; cursors; the bytes that each map uses; the pool's size. The check is `catalogue`.
 */
import { CheckFailed } from "../check-failed.ts";
import type { Life } from "../machine.ts";
import type { MapModel } from "../map-model.ts";
import { pageBytes } from "../unit-content.ts";

export function checkCatalogue(life: Life): void {
  const model = life.machine.history.current;
  const { pool } = life;
  compare(
    "volumes",
    pool
      .volumes()
      .map((volume) => [
        volume.id,
        volume.name,
        volume.sizeBytes,
        volume.snapshots,
        volume.origin ?? null,
        volume.clients,
      ]),
    [...model.volumes.values()].map(({ id, name, map, snapshots, origin }) => [
      id,
      name,
      map.sizeBytes,
      snapshots.size,
      origin ?? null,
      0,
    ]),
  );
  compare(
    "snapshots",
    pool.snapshots().map(({ volume, name, sizeBytes, sequence }) => [volume, name, sizeBytes, sequence]),
    [...model.volumes.values()].flatMap((volume) =>
      [...volume.snapshots.values()].map(({ name, map, sequence }) => [
        volume.name,
        name,
        map.sizeBytes,
        sequence,
      ]),
    ),
  );
  compare(
    "cursors",
    pool.cursors().map(({ name, volume }) => [name, volume]),
    [...model.cursors.values()].map(({ name, volume }) => [name, model.volume(volume).name]),
  );
  for (const { name, snapshots, map } of model.volumes.values()) {
    checkUsed(name, pool.volume(name).usedBytes, map);
    for (const snapshot of snapshots.values())
      checkUsed(`${name}@${snapshot.name}`, pool.snapshot(name, snapshot.name).usedBytes, snapshot.map);
  }
  const { sizeBytes } = pool.status();
  if (model.sizeBytes !== undefined && model.sizeBytes !== sizeBytes)
    throw new CheckFailed("catalogue", `the pool has ${sizeBytes} bytes, but was given ${model.sizeBytes}`);
}

function checkUsed(name: string, usedBytes: number, map: MapModel): void {
  const { least, most } = map.countPages();
  if (usedBytes < least * pageBytes || usedBytes > most * pageBytes)
    throw new CheckFailed("catalogue", `${name} uses ${usedBytes} bytes, expected ${least} to ${most} pages`);
}

function compare(what: string, found: unknown[][], expected: unknown[][]): void {
  const lines = (rows: unknown[][]) => rows.map((row) => JSON.stringify(row)).sort();
  const [have, want] = [lines(found), lines(expected)];
  const missing = want.filter((line) => !have.includes(line));
  const extra = have.filter((line) => !want.includes(line));
  if (missing.length + extra.length === 0 && have.length === want.length) return;
  throw new CheckFailed(
    "catalogue",
    `${what}: missing ${missing.join(" ")}; not expected ${extra.join(" ")}`,
  );
}
