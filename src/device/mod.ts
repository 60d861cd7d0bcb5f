/** The device room's public door. */
export * from "./block-device.ts";
