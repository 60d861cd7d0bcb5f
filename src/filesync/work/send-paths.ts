/**
 * Makes paths of the target equal to paths of the source: packed at the source, applied at the target, bundle by bundle.
 *
 * Always holds: memory is a few bundles; each item comes back exactly once, in one of the lists. What fails with one file
 * is told in its list; a target that cannot be used at all rejects (NO_SPACE, READ_ONLY, IO_ERROR), as does a dead
 * connection.
 */
import type { FileAttributes, FileFailure, SourceTree, TreePath } from "../../ports/mod.ts";
import type { TargetConnection } from "../threads/connection.ts";
import { troubleOfTarget } from "./failure-kinds.ts";

/** A longer file is sent in parts. */
export const INLINE_BYTES_MAX = 2 ** 20;
const BUNDLE_BYTES_MAX = 2 * 2 ** 20;
/** Paths of one bundle: what one thread of the target does in a row. */
const CHUNK_PATHS = 64;
/** Chunks under way, where their order does not matter. */
const CHUNKS_MAX = 16;

export interface SentItem<Item> {
  readonly item: Item;
  readonly attributes: FileAttributes;
}

export interface SentPaths<Item> {
  readonly sent: SentItem<Item>[];
  /** To be sent in parts. */
  readonly large: SentItem<Item>[];
  /** Nothing is there at the source any more. */
  readonly absent: Item[];
  readonly failed: {
    readonly item: Item;
    readonly failure: FileFailure;
    readonly side: "source" | "target";
  }[];
  bytes: number;
  /** Files that changed while they were read; an event of each follows. */
  torn: number;
}

export interface PathsToSend<Item> {
  readonly source: SourceTree;
  readonly connection: TargetConnection;
  readonly items: readonly Item[];
  readonly pathOf: (item: Item) => { readonly source: TreePath; readonly target: TreePath };
  readonly what: "content" | "attributes";
  /** `any`: bundles may be applied beside each other. */
  readonly order: "kept" | "any";
}

export async function sendPaths<Item>(request: PathsToSend<Item>): Promise<SentPaths<Item>> {
  const result: SentPaths<Item> = { sent: [], large: [], absent: [], failed: [], bytes: 0, torn: 0 };
  const chunks: (readonly Item[])[] = [];
  for (let at = 0; at < request.items.length; at += CHUNK_PATHS)
    chunks.push(request.items.slice(at, at + CHUNK_PATHS));
  if (request.order === "kept") {
    for (const chunk of chunks) await sendChunk(request, chunk, result);
    return result;
  }
  const workers = Array.from({ length: Math.min(CHUNKS_MAX, chunks.length) }, async () => {
    for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift())
      await sendChunk(request, chunk, result);
  });
  const outcomes = await Promise.allSettled(workers);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  return result;
}

async function sendChunk<Item>(
  request: PathsToSend<Item>,
  chunk: readonly Item[],
  result: SentPaths<Item>,
): Promise<void> {
  const { source, connection, pathOf, what, order } = request;
  for (let rest = chunk; rest.length > 0; ) {
    const places = rest.map(pathOf);
    const packed = await source.pack({
      paths: places.map((place) => place.source),
      targetPaths: places.map((place) => place.target),
      inlineBytesMax: INLINE_BYTES_MAX,
      bundleBytesMax: BUNDLE_BYTES_MAX,
      what,
    });
    const failures = new Map(packed.failures.map((failure) => [failure.path, failure]));
    /** The next one that was packed; they come in the order of the paths. */
    let next = 0;
    /** In the order of the bundle's operations. */
    const inBundle: SentItem<Item>[] = [];
    for (let index = 0; index < packed.taken; index += 1) {
      const item = rest[index]!;
      const path = places[index]!.source;
      const each = packed.packed[next]?.path === path ? packed.packed[next++] : undefined;
      const failure = failures.get(path);
      if (each?.isLarge === true && what === "content")
        result.large.push({ item, attributes: each.attributes });
      else if (each !== undefined) {
        inBundle.push({ item, attributes: each.attributes });
        if (each.changedWhileRead) result.torn += 1;
      } else if (failure !== undefined && failure.errno !== "ENOENT" && failure.errno !== "ENOTDIR")
        result.failed.push({ item, failure, side: "source" });
      else result.absent.push(item);
    }
    rest = rest.slice(packed.taken);
    if (packed.operations === 0) continue;
    const bytes = packed.bundle.length;
    const applied = await connection.apply(packed.bundle, packed.operations, order);
    result.bytes += bytes;
    const wrong = new Map(applied.failures.map((failure) => [failure.operation, failure]));
    for (const [operation, sent] of inBundle.entries()) {
      const failure = wrong.get(operation);
      const trouble = failure === undefined ? undefined : troubleOfTarget(failure);
      if (trouble !== undefined) throw trouble;
      if (failure === undefined) result.sent.push(sent);
      else result.failed.push({ item: sent.item, failure, side: "target" });
    }
  }
}
