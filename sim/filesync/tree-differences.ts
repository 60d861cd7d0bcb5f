/** Compares two simulated trees in everything that is replicated, own names left out. */
import type { TreePath } from "../../src/ports/mod.ts";
import { OWN_PREFIX } from "../../src/wire/filesync/mod.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import type { SimulatedTree } from "./simulated-tree.ts";

export interface TreeMismatch {
  readonly path: TreePath;
  readonly what: string;
  /** Files of equal attributes: only a comparison of contents can find it. */
  readonly isHidden: boolean;
  /** Changed through another name that is gone: nobody was told, and a comparison of attributes finds it. */
  readonly isUnheard?: boolean;
}

/** What the target's tree has otherwise than the source's. */
export function treeDifferences(source: SimulatedTree, target: SimulatedTree): TreeMismatch[] {
  const differences: TreeMismatch[] = [];
  compareDirectories("", source.root, target.root, differences);
  compareInodes("", source.root, target.root, differences);
  compareLinks(source, target, differences);
  return differences;
}

/** The first few, for people. */
export function describeDifferences(differences: readonly TreeMismatch[]): string {
  const some = differences.slice(0, 8).map(({ path, what }) => `${JSON.stringify(path)}: ${what}`);
  return `${differences.length} differences: ${some.join("; ")}`;
}

function compareDirectories(
  path: TreePath,
  source: SimulatedInode,
  target: SimulatedInode,
  differences: TreeMismatch[],
): void {
  const prefix = path === "" ? "" : `${path}/`;
  for (const [name, entry] of source.entries) {
    if (name.startsWith(OWN_PREFIX)) continue;
    const other = target.entries.get(name);
    const below = prefix + name;
    if (other === undefined) {
      differences.push({ path: below, what: `${entry.kind} is missing at the target`, isHidden: false });
      continue;
    }
    compareInodes(below, entry, other, differences);
    if (entry.isDirectory && other.isDirectory) compareDirectories(below, entry, other, differences);
  }
  for (const [name, entry] of target.entries)
    if (!source.entries.has(name) && !name.startsWith(OWN_PREFIX))
      differences.push({ path: prefix + name, what: `${entry.kind} is only at the target`, isHidden: false });
}

function compareInodes(
  path: TreePath,
  source: SimulatedInode,
  target: SimulatedInode,
  differences: TreeMismatch[],
): void {
  const one = describe(source);
  const other = describe(target);
  const fields = Object.keys(one).filter((field) => one[field] !== other[field]);
  for (const field of fields)
    differences.push({
      path,
      what: `${field} ${one[field]}, at the target ${other[field]}`,
      isHidden: false,
      isUnheard: source.isUnheard && source.kind === target.kind,
    });
  if (fields.length === 0 && Buffer.compare(source.content, target.content) !== 0)
    differences.push({ path, what: "content differs, attributes are equal", isHidden: true });
}

function describe(inode: SimulatedInode): Record<string, string | number> {
  const { kind, mode, userId, groupId, target, deviceNode, modified } = inode;
  return {
    kind,
    mode: mode.toString(8),
    owner: `${userId}:${groupId}`,
    size: inode.isDirectory ? 0 : inode.sizeBytes,
    target,
    deviceNode,
    mtime: `${modified.seconds}.${String(modified.nanoseconds).padStart(9, "0")}`,
    extended: Buffer.from(inode.packedExtended).toString("hex"),
  };
}

/** Names are of one file at the target when they are at the source. */
function compareLinks(source: SimulatedTree, target: SimulatedTree, differences: TreeMismatch[]): void {
  const groups = groupsOf(source);
  const others = groupsOf(target);
  for (const [path, group] of groups) {
    const other = others.get(path);
    if (other !== undefined && other !== group)
      differences.push({ path, what: `a name of (${group}), at the target of (${other})`, isHidden: false });
  }
}

function groupsOf(tree: SimulatedTree): Map<TreePath, string> {
  const paths = new Map<SimulatedInode, TreePath[]>();
  for (const [path, inode] of tree.walk()) {
    if (inode.kind !== "file" || path.includes(OWN_PREFIX)) continue;
    const group = paths.get(inode);
    if (group === undefined) paths.set(inode, [path]);
    else group.push(path);
  }
  const groups = new Map<TreePath, string>();
  for (const group of paths.values()) {
    const text = group
      .toSorted()
      .map((path) => JSON.stringify(path))
      .join(" ");
    for (const path of group) groups.set(path, text);
  }
  return groups;
}
