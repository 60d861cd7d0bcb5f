/**
 * REPORT SUPPORTED OPERATION CODES (SPC-4, 6.35) and REPORT TARGET PORT GROUPS (SPC-4, 6.37) as bytes.
 *
 * Always holds: a timeouts descriptor says nothing (zeros), since how long a command takes depends on the disk.
 */

import type { SupportedCommand } from "./supported-command.ts";

const TIMEOUTS_BYTES = 12;
const SUPPORTED_AS_STANDARD = 0x03;
const NOT_SUPPORTED = 0x01;

export type TimeoutsWanted = "with timeouts" | "without timeouts";

export function allCommandsReport(
  commands: readonly SupportedCommand[],
  timeouts: TimeoutsWanted,
): Uint8Array {
  const hasTimeouts = timeouts === "with timeouts";
  const descriptorBytes = 8 + (hasTimeouts ? TIMEOUTS_BYTES : 0);
  const bytes = new Uint8Array(4 + commands.length * descriptorBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  commands.forEach(({ opcode, serviceAction, usage }, index) => {
    const at = 4 + index * descriptorBytes;
    bytes[at] = opcode;
    view.setUint16(at + 2, serviceAction ?? 0);
    bytes[at + 5] = (hasTimeouts ? 0x02 : 0) | (serviceAction === undefined ? 0 : 0x01);
    view.setUint16(at + 6, usage.length);
    if (hasTimeouts) view.setUint16(at + 8, TIMEOUTS_BYTES - 2);
  });
  return bytes;
}

/** What is said of one command; undefined: there is none such. */
export function oneCommandReport(
  command: SupportedCommand | undefined,
  timeouts: TimeoutsWanted,
): Uint8Array {
  if (command === undefined) return Uint8Array.of(0, NOT_SUPPORTED, 0, 0);
  const hasTimeouts = timeouts === "with timeouts";
  const usageBytes = command.usage.length;
  const bytes = new Uint8Array(4 + usageBytes + (hasTimeouts ? TIMEOUTS_BYTES : 0));
  bytes.set([0, (hasTimeouts ? 0x80 : 0) | SUPPORTED_AS_STANDARD, 0, usageBytes]);
  bytes.set(command.usage, 4);
  if (hasTimeouts) new DataView(bytes.buffer).setUint16(4 + usageBytes, TIMEOUTS_BYTES - 2);
  return bytes;
}

/** A target port group in the state active/optimized. */
export interface PortGroup {
  readonly tag: number;
  readonly relativePorts: readonly number[];
}

export function portGroupsReport(groups: readonly PortGroup[], header: "short" | "extended"): Uint8Array {
  const headerBytes = header === "short" ? 4 : 8;
  const groupBytes = groups.reduce((sum, group) => sum + 8 + 4 * group.relativePorts.length, 0);
  const bytes = new Uint8Array(headerBytes + groupBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4);
  if (header === "extended") bytes[4] = 0x10;
  let at = headerBytes;
  for (const { tag, relativePorts } of groups) {
    bytes[at + 1] = 0x01; // AO_SUP: there is no other state.
    view.setUint16(at + 2, tag);
    bytes[at + 7] = relativePorts.length;
    relativePorts.forEach((port, index) => {
      view.setUint16(at + 8 + 4 * index + 2, port);
    });
    at += 8 + 4 * relativePorts.length;
  }
  return bytes;
}
