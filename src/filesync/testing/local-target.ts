/** A connection to a tree in memory, over the program's own session and link, and what the work needs besides. */
import { RopewalkError } from "../../base/errors.ts";
import type { Clock, TargetTree } from "../../ports/mod.ts";
import { NO_MAC, PROTOCOL_VERSION } from "../../wire/filesync/mod.ts";
import { DirectoryNode, DirectoryNodes } from "../capture/directory-node.ts";
import { KeptComparison } from "../compare/kept-attributes.ts";
import { NO_EXCLUDES } from "../exclude-rules.ts";
import { LocalExchange } from "../link/local-exchange.ts";
import { TargetLink } from "../link/target-link.ts";
import { type Entry, type NewEntry, QueuedEntry } from "../queue/entry.ts";
import type { Admission } from "../target/target-session.ts";
import { TargetSession } from "../target/target-session.ts";
import type { ConnectionConfiguration, Connector } from "../threads/connection.ts";
import { lastName, parentPath } from "../tree-path.ts";
import { DirtyDirectories } from "../work/dirty-directories.ts";
import { HardLinks } from "../work/hard-links.ts";
import { LinkSearch } from "../work/link-search.ts";
import { SentFiles } from "../work/sent-files.ts";
import { SourceReads } from "../work/source-reads.ts";
import { UnreadChanges } from "../work/unread-changes.ts";
import { placeOf, type WorkParts } from "../work/work-parts.ts";
import { ABILITIES } from "./abilities.ts";
import type { MemoryTree } from "./memory-tree.ts";

export const CONFIGURATION: ConnectionConfiguration = {
  role: "main",
  number: 0,
  target: "copy",
  synchronization: new Uint8Array(16),
  modes: ["attributes"],
  deletes: "mirror",
};

/** No time passes. */
const STANDING_CLOCK: Clock = {
  nowMs: () => 0,
  wallMs: () => 4e12,
  after: () => ({ cancel: () => undefined }),
  soon: setImmediate,
};

export const TEST_RANDOM = { bytes: (length: number) => new Uint8Array(length).fill(7) };

/** Lets everybody in. */
export function openAdmission(tree: TargetTree, left: () => void = () => undefined): Admission {
  return {
    hello: async ({ role }) => ({
      reply: { stage: "welcome", welcome: { version: PROTOCOL_VERSION, abilities: ABILITIES, mac: NO_MAC } },
      root: { tree, role },
    }),
    left,
  };
}

/** It has not said hello. */
export function localLink(tree: TargetTree): TargetLink {
  return new TargetLink({
    exchange: new LocalExchange(new TargetSession(openAdmission(tree))),
    random: TEST_RANDOM,
    key: undefined,
    connections: 4,
    sourceHost: "here",
    sourceDirectory: "/source",
  });
}

export async function connectTo(tree: TargetTree, role: "main" | "sync" = "main"): Promise<TargetLink> {
  const link = localLink(tree);
  await link.hello({ ...CONFIGURATION, role, number: role === "main" ? 0 : 1 });
  return link;
}

/** Connects to the tree, unless it is told that there is no way. */
export class LocalConnector implements Connector {
  readonly links: TargetLink[] = [];
  readonly #tree: TargetTree;
  isCut = false;

  constructor(tree: TargetTree) {
    this.#tree = tree;
  }

  async connect(): Promise<TargetLink> {
    if (this.isCut) throw new RopewalkError("UNREACHABLE", "There is no way.");
    const link = localLink(this.#tree);
    this.links.push(link);
    return link;
  }

  cut(): void {
    for (const link of this.links.splice(0)) link.abandon(new RopewalkError("UNREACHABLE", "cut"));
  }
}

/** What the work on entries needs; directories of the source are nodes. */
export function workParts(source: MemoryTree, more: Partial<WorkParts> = {}): WorkParts {
  const nodes = new DirectoryNodes();
  for (const path of source.paths)
    if (source.nodes.get(path)?.kind === "directory") addDirectory(nodes, path);
  return {
    source,
    nodes,
    excludes: NO_EXCLUDES,
    deletes: "mirror",
    links: new HardLinks(),
    linkSearch: new LinkSearch(),
    unread: new UnreadChanges(STANDING_CLOCK),
    sent: new SentFiles(),
    dirty: new DirtyDirectories(),
    reads: new SourceReads({ drained: () => Promise.resolve(), stale: () => undefined }),
    hasRenames: () => false,
    counters: { copiedFiles: 0, removed: 0, torn: 0, followUps: 0 },
    kept: new KeptComparison(),
    clock: STANDING_CLOCK,
    placeOf: (path) => placeOf(nodes, path),
    append: () => true,
    later: () => undefined,
    comparing: () => () => undefined,
    bulk: () => assertNever(),
    plants: new Set(),
    connectionEnded: () => undefined,
    mayRepair: () => "now",
    repairLater: () => assertNever(),
    ...more,
  };
}

export function addDirectory(nodes: DirectoryNodes, path: string): DirectoryNode {
  const node = new DirectoryNode(lastName(path));
  nodes.at(parentPath(path))!.attach(node, lastName(path));
  return node;
}

let entryNumber = 0;

/** An entry as the queue would hand it out. */
export function entryOf(
  parts: WorkParts,
  kind: Entry["kind"],
  path: string,
  more: Partial<NewEntry> = {},
): Entry {
  const directory = parts.nodes.at(parentPath(path)) ?? parts.nodes.root;
  const place = { directory, name: lastName(path) };
  return new QueuedEntry(++entryNumber, { kind, path, place, isDirectory: false, ...more }, 0);
}

function assertNever(): never {
  throw new Error("no bulk was to be asked for");
}
