/**
 * What several members can do together: limits that all keep to, and abilities that all have.
 * Always holds: a request inside the combined limits is inside each member's.
 */
import type { BlockDevice, Capabilities, Capability, Geometry } from "../block-device.ts";
import type { DeviceOffload } from "../offload.ts";

export function combinedGeometry(members: readonly BlockDevice[]): Geometry {
  const minimumBlockBytes = Math.max(...members.map((member) => member.geometry.minimumBlockBytes));
  const shortest = Math.min(...members.map((member) => member.geometry.maximumRequestBytes));
  return {
    minimumBlockBytes,
    preferredBlockBytes: Math.max(...members.map((member) => member.geometry.preferredBlockBytes)),
    maximumRequestBytes: Math.max(minimumBlockBytes, shortest - (shortest % minimumBlockBytes)),
  };
}

export function combinedCapabilities(members: readonly BlockDevice[]): Capabilities {
  const all = members.map((member) => member.capabilities);
  const weakest = (of: (capabilities: Capabilities) => Capability): Capability => {
    if (all.some((each) => of(each) === "absent")) return "absent";
    return all.some((each) => of(each) === "emulated") ? "emulated" : "native";
  };
  return {
    writable: all.every(({ writable }) => writable),
    flush: weakest(({ flush }) => flush),
    fua: weakest(({ fua }) => fua),
    trim: weakest(({ trim }) => trim),
    zero: weakest(({ zero }) => zero),
    fastZero: weakest(({ fastZero }) => fastZero),
    extents: weakest(({ extents }) => extents),
    sharedFlush: all.every(({ sharedFlush }) => sharedFlush),
    rotational: all.some(({ rotational }) => rotational),
  };
}

/** The members' token copies; undefined unless every member has them. */
export function combinedOffloads(members: readonly BlockDevice[]): DeviceOffload[] | undefined {
  const offloads = members.map(({ offload }) => offload).filter((offload) => offload !== undefined);
  return offloads.length === members.length ? offloads : undefined;
}

/** Ids of the providers below all members, each once. */
export function combinedProviders(offloads: readonly DeviceOffload[]): string[] {
  return [...new Set(offloads.flatMap(({ providers }) => providers))];
}
