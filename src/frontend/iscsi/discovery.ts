/**
 * SendTargets (RFC 7143, appendix C): which targets there are and where.
 *
 * Always holds: a normal session learns of its own target only. A portal that listens on all addresses is given with
 * the one that the initiator came to, where that is known.
 */
import { iscsiName, type TextPair } from "../../wire/iscsi/mod.ts";
import type { IscsiPortal, TargetEntry } from "./target-table.ts";

export interface DiscoveryWorld {
  readonly targets: readonly TargetEntry[];
  readonly portals: readonly IscsiPortal[];
  /** The session's own target; undefined in a discovery session. */
  readonly targetName: string | undefined;
  /** The address, without a port, that the initiator came to. */
  readonly localAddress: string | undefined;
}

const IPV4_WILDCARD = "0.0.0.0";
/** The one of IPv6 takes connections of IPv4 too. */
const WILDCARDS: ReadonlySet<string> = new Set([IPV4_WILDCARD, "[::]"]);

/** The answer to `SendTargets=value`; undefined when this session may not ask so. */
export function sendTargets(value: string, world: DiscoveryWorld): TextPair[] | undefined {
  const own = world.targetName;
  if (value === "All") return own === undefined ? describe(world.targets, world) : undefined;
  if (value === "" && own === undefined) return undefined;
  const wanted = value === "" ? own : iscsiName(value);
  if (own !== undefined && wanted !== own) return [];
  return describe(
    world.targets.filter((target) => target.name === wanted),
    world,
  );
}

function describe(targets: readonly TargetEntry[], world: DiscoveryWorld): TextPair[] {
  const addresses = world.portals.flatMap((portal): TextPair[] => {
    const address = reachableAddress(portal.address, world.localAddress);
    return address === undefined ? [] : [["TargetAddress", `${address},${portal.portalGroupTag}`]];
  });
  // Aliases are told at the login: libiscsi gives up on a list with anything but names and addresses.
  return targets.flatMap((target): TextPair[] => [["TargetName", target.name], ...addresses]);
}

/** Undefined: a portal on all addresses of IPv4, and the initiator came over IPv6; nobody knows which it would reach. */
function reachableAddress(address: string, localAddress: string | undefined): string | undefined {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon);
  if (localAddress === undefined || !WILDCARDS.has(host)) return address;
  const plain = localAddress.toLowerCase().startsWith("::ffff:") ? localAddress.slice(7) : localAddress;
  const isIPv6 = plain.includes(":");
  if (isIPv6 && host === IPV4_WILDCARD) return undefined;
  return `${isIPv6 ? `[${plain}]` : plain}${address.slice(colon)}`;
}
