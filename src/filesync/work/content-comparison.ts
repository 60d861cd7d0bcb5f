/** Whether a file is the same at both ends, by hashes of its content: what an incremental copy of a small file asks first. */
import type { TreePath } from "../../ports/mod.ts";
import type { Entry } from "../queue/entry.ts";
import type { TargetConnection } from "../threads/connection.ts";
import { isOfSource } from "./failure-kinds.ts";
import { INLINE_BYTES_MAX } from "./send-paths.ts";
import type { WorkParts } from "./work-parts.ts";

export interface ContentQuestion {
  readonly connection: TargetConnection;
  readonly entry: Entry;
  /** At the source. */
  readonly path: TreePath;
  readonly parts: WorkParts;
}

/** False also where that is not known. */
export async function isContentSame(question: ContentQuestion): Promise<boolean> {
  const { connection, entry, path, parts } = question;
  const { source } = parts;
  const [[ours], [theirs]] = await Promise.all([source.stat([path]), connection.stat([entry.path])]);
  if (ours?.kind !== "file" || theirs?.kind !== "file" || ours.sizeBytes > INLINE_BYTES_MAX) return false;
  if (!parts.kept.isAlike(ours, theirs)) return false;
  if (ours.sizeBytes === 0) return true;
  const request = {
    offset: 0,
    length: ours.sizeBytes,
    blockBytes: INLINE_BYTES_MAX,
    seed: ours.inode % 2 ** 32,
  };
  try {
    const file = await source.open(path);
    try {
      const [one, other] = await Promise.all([file.hashes(request), connection.hashes(entry.path, request)]);
      return other.length > 0 && Buffer.compare(one, other) === 0;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isOfSource(error)) return false;
    throw error;
  }
}
