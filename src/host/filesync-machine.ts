/** What file replication needs of this machine besides streams. Errors: as the calls that it is made of. */
import { mkdir, rm } from "node:fs/promises";
import type { AppendFile, SourceTree } from "../ports/mod.ts";
import { openAppendFile } from "./append-file.ts";
import { diskError } from "./disk-error.ts";
import { openSourceTree } from "./file-tree/source-tree.ts";
import { lookAtPath } from "./look-at-path.ts";
import { openServedTarget } from "./served-target.ts";

/** Above what a journal grows to by itself; a longer one is somebody else's file. */
const JOURNAL_BYTES_MAX = 64 * 2 ** 20;
const DIRECTORY_MODE = 0o700;

/** Of a target. */
export const targetMachine = { lookAt: lookAtPath, makeDirectory, openTarget: openServedTarget };

/** Of sources and targets. `journalFile`: where the journal of a synchronization is. */
export function filesyncMachine({ journalFile }: { journalFile: (name: string) => string }) {
  return {
    ...targetMachine,
    openSourceTree: (directory: string): Promise<SourceTree> => openSourceTree(directory),
    openJournal: (name: string): Promise<AppendFile> =>
      openAppendFile(journalFile(name), { bytesMax: JOURNAL_BYTES_MAX }),
    async removeJournal(name: string): Promise<void> {
      const path = journalFile(name);
      try {
        await rm(path, { force: true });
      } catch (cause) {
        throw diskError({ call: "unlink", path, cause });
      }
    },
  };
}

/** With those above it. PERMISSION_DENIED, IO_ERROR */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
  } catch (cause) {
    throw diskError({ call: "mkdir", path, cause, codes: { EACCES: "PERMISSION_DENIED" } });
  }
}
