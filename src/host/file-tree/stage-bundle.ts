/**
 * Stages the content of a part of a bundle that has only files and directories; `applyBundle` gives it its names.
 *
 * Always holds: nothing is seen of it but parents that were missing. What was not staged is tried again at its turn.
 */
import { readBundle } from "../../wire/filesync/mod.ts";
import { withRoot } from "./opened-root.ts";
import { StagedContent } from "./staged-content.ts";
import { TargetDirectories } from "./target-directories.ts";
import { type LostKind, LostKinds, type TargetReference } from "./target-job.ts";
import { copied, type Handed } from "./thread-jobs.ts";

export interface StageJob {
  readonly target: TargetReference;
  readonly bytes: Uint8Array;
  readonly bundle: number;
  readonly first: number;
}

/** The handler of a target's thread: of each operation, 1 when it is staged. PROTOCOL_ERROR */
export function stageBundle(job: StageJob): Handed<{ staged: Uint8Array; lost: readonly LostKind[] }> {
  return withRoot(job.target.root, (root) => {
    const { target, bundle, first } = job;
    const directories = new TargetDirectories(root);
    const lost = new LostKinds();
    const operations = readBundle(job.bytes);
    try {
      const content = new StagedContent({ target, directories, operations, lost, bundle, first });
      content.part();
      return copied({ staged: content.staged, lost: lost.all });
    } finally {
      directories.close();
    }
  });
}
