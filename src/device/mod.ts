/** The device room's public door. */
export * from "./block-device.ts";
export { checkDevice } from "./checked-device.ts";
export {
  buildDeviceTree,
  checkDeviceTree,
  type DeviceTreeOptions,
  filesOf,
  volumesOf,
} from "./device-tree.ts";
export type { LayerWorld } from "./layers/layer.ts";
export { MemoryDevice, type MemoryDeviceOptions } from "./memory-device.ts";
export type * from "./offload.ts";
export { SharedDevice } from "./shared-device.ts";
export { buildStack, type LayerDescription, type LayerStack, type StackDescription } from "./stack.ts";
