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
import type { Handed } from "./thread-jobs.ts";

export interface StageJob {
  readonly target: TargetReference;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly bundle: number;
  readonly first: number;
}

export interface StagedPart {
  /** Of each operation, 1 when it is staged. */
  readonly staged: Uint8Array;
  readonly lost: readonly LostKind[];
  /** The job's, given back. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The handler of a target's thread. PROTOCOL_ERROR */
export function stageBundle(job: StageJob): Handed<StagedPart> {
  return withRoot(job.target.root, (root) => {
    const { target, bundle, first } = job;
    const directories = new TargetDirectories(root);
    const lost = new LostKinds();
    const operations = readBundle(job.bytes);
    try {
      const content = new StagedContent({ target, directories, operations, lost, bundle, first });
      content.part();
      const { staged } = content;
      const { bytes } = job;
      return { result: { staged, lost: lost.all, bytes }, transfer: [staged.buffer, bytes.buffer] };
    } finally {
      directories.close();
    }
  });
}
