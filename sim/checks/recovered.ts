/**
 * Everything that must hold after the pool was opened again: lists, space, the bytes and extents of every
 * volume, snapshot and pin. No request may be on its way.
 */
import type { BlockDevice } from "../../src/device/mod.ts";
import type { Life } from "../machine.ts";
import type { MapKey } from "../pool-model.ts";
import { checkCatalogue } from "./catalogue.ts";
import { checkMapContent } from "./contents.ts";
import { checkExtents } from "./extents.ts";
import { checkSpace } from "./space.ts";

/** `thorough` reads everything; `sampled` all of the volumes, and a part of what is frozen. */
export async function checkRecovered(life: Life, depth: "thorough" | "sampled"): Promise<void> {
  checkCatalogue(life);
  await checkSpace(life);
  const { random, history } = life.machine;
  for (const { name, key, map, frozen } of history.current.maps()) {
    const device = openMap(life, key);
    const part = frozen && depth === "sampled" ? 0.25 : 1;
    await checkMapContent(life, name, device, map, () => part === 1 || random.chance(part));
    if (random.chance(part)) await checkExtents(life, name, device, map, random.pick([3, 64, 10_000]));
    await life.answer(device.close());
  }
}

export function openMap(life: Life, key: MapKey): BlockDevice {
  if ("pin" in key) return life.pool.openPin(key.pin);
  const { name } = life.machine.history.current.volume(key.volume);
  return key.snapshot === undefined ? life.pool.openVolume(name) : life.pool.openSnapshot(name, key.snapshot);
}
