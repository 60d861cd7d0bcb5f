/**
 * Everything that must hold after the pool was opened again: lists, space, the bytes and extents of every
 * volume, snapshot and pin. No request may be on its way.
 */
import type { BlockDevice } from "../../src/device/mod.ts";
import type { Life } from "../machine.ts";
import type { MapKey } from "../pool-model.ts";
import { checkCatalogue } from "./catalogue.ts";
import { checkMapContent } from "./contents.ts";
import { checkDepth, checkExtents } from "./extents.ts";
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
    if (random.chance(part / 2)) await checkDepth(life, name, history.current.ref(key), map);
  }
}

export function openMap(life: Life, key: MapKey): BlockDevice {
  const ref = life.machine.history.current.ref(key);
  if ("pin" in ref) return life.pool.openPin(ref.pin);
  const { volume, snapshot } = ref;
  return snapshot === undefined ? life.pool.openVolume(volume) : life.pool.openSnapshot(volume, snapshot);
}
