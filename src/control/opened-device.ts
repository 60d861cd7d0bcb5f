/** An opening that a use case has for as long as it works, and gives back however it ends. */
import { RopewalkError } from "../base/errors.ts";
import type { BlockDevice, DeviceOffload } from "../device/mod.ts";
import type { Exports } from "./exports.ts";

export interface OpenedDevice extends AsyncDisposable {
  readonly device: BlockDevice;
}

/** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_NAME */
export function openDevice(exports: Exports, name: string): OpenedDevice {
  const device = exports.open(name);
  return { device, [Symbol.asyncDispose]: () => device.close() };
}

/** UNSUPPORTED where the device has no token copies. */
export function offloadOf({ offload }: BlockDevice): DeviceOffload {
  if (offload) return offload;
  throw new RopewalkError("UNSUPPORTED", "The device has no token copies; copy plainly.");
}

/** What was acknowledged is durable; nothing to do on a device that cannot flush. */
export async function flushDevice(device: BlockDevice): Promise<void> {
  if (device.capabilities.flush !== "absent") await device.flush();
}
