/**
 * The layers that the settings put over volumes, each stack made once and shared by all openings of its volume.
 * Errors: INVALID_CONFIG with the place in the configuration.
 */
import { RopewalkError } from "../../base/errors.ts";
import { buildStack, checkDevice, type LayerStack, type LayerWorld } from "../../device/mod.ts";
import type { Stack } from "../exports.ts";
import type { Settings } from "./settings.ts";

/** Builds all stacks at once, so that a wrong description is refused at the start and not when a client comes. */
export function buildLayerStacks(layers: Settings["layers"], world: LayerWorld): Stack {
  const stacks = new Map<string, LayerStack>();
  for (const [volume, { description, where }] of layers) {
    try {
      stacks.set(volume, buildStack(description, world));
    } catch (cause) {
      const reason = cause instanceof RopewalkError ? cause.message : String(cause);
      throw new RopewalkError("INVALID_CONFIG", `${where}: volumes.${volume}: ${reason}`, { cause });
    }
  }
  return (volume, device) => stacks.get(volume)?.over(device) ?? checkDevice(device);
}
