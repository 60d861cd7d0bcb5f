/** Other names of a file whose content was sent: the target links them to it, by commands of their own. */
import type { FileAttributes, TreePath } from "../../ports/mod.ts";
import { hasOtherNames } from "../../wire/filesync/mod.ts";
import { type SourcePlace, sourcePathOf } from "../capture/change.ts";
import type { NewEntry } from "../queue/entry.ts";
import { entryAt, type WorkParts } from "./work-parts.ts";

/** Entries for the names that are known besides; whether they are still names of that file is looked at then. */
export function linksOf(
  { links, linkSearch, counters }: WorkParts,
  place: SourcePlace | undefined,
  path: TreePath,
  attributes: FileAttributes,
): NewEntry[] {
  if (place === undefined || !hasOtherNames(attributes)) return [];
  const others = links.seen(attributes, place);
  if (others.length + 1 < attributes.links) linkSearch.want({ attributes, path });
  const existing = sourcePathOf(place);
  if (existing === undefined) return [];
  const entries = others.flatMap((other) => entryAt(other, { kind: "link", existing, isDirectory: false }));
  counters.followUps += entries.length;
  return entries;
}
