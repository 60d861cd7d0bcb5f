/**
 * Which meta contexts a client's queries mean.
 * Always holds: unknown names and namespaces are passed over, never an error; a query that ends in a colon is a
 * wildcard for a list and means nothing when contexts are set.
 */
import type { BlockDevice } from "../../device/mod.ts";
import type { NbdContext } from "./exports.ts";

export const BASE_ALLOCATION = "base:allocation";

/** A context by its full name; without `source` the front end answers itself. */
export interface OfferedContext {
  readonly name: string;
  readonly source: NbdContext | undefined;
}

/** `base:allocation` only where the device can tell its extents. */
export function offeredContexts(opened: {
  readonly device: BlockDevice;
  contexts(): readonly NbdContext[];
}): OfferedContext[] {
  const named = opened.contexts().map((source) => ({ name: source.name, source }));
  if (opened.device.capabilities.extents === "absent") return named;
  return [{ name: BASE_ALLOCATION, source: undefined }, ...named];
}

/** LIST_META_CONTEXT: everything without queries, else what a query names or begins. */
export function listedContexts(
  offered: readonly OfferedContext[],
  queries: readonly string[],
): OfferedContext[] {
  if (queries.length === 0) return [...offered];
  const matches = (name: string, query: string) =>
    name === query || (query.endsWith(":") && name.startsWith(query));
  return offered.filter(({ name }) => queries.some((query) => matches(name, query)));
}

/** SET_META_CONTEXT: what is named exactly, in the order of the offer. */
export function selectedContexts(
  offered: readonly OfferedContext[],
  queries: readonly string[],
): OfferedContext[] {
  return offered.filter(({ name }) => queries.includes(name));
}
