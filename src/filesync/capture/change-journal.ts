/**
 * What was noticed and is not yet at every target, in a file: after a restart it is looked at again, whatever the
 * attributes say (a file may have changed without a change of its size and times).
 *
 * | size | field |
 * | ---- | ----- |
 * | 4 | checksum of what follows |
 * | 2 | length of the path |
 * | 1 | 1: something happened to the path; 2: below the path |
 * | n | path, as bytes |
 *
 * Always holds: a change is with the kernel before it is acted upon, so it survives the process; `sync` is called once a
 * second while there is something new. A damaged end is cut off: its power failed. When the file is full, or cannot be
 * written, the journal says only that everything is to be looked at. Trouble of the file is told, and stops nothing.
 */
import { checksum } from "../../base/checksum.ts";
import type { AppendFile, Clock, Timer, TreePath } from "../../ports/mod.ts";

const HEAD_BYTES = 7;
const SYNC_MS = 1000;

export const JOURNAL_BYTES_MAX = 32 * 2 ** 20;
/** Kept for a source that is lost and comes back while the process lives. */
const NOTED_MAX = 65_536;

const EVERYTHING: JournalledChange = { path: "", below: true };

export interface JournalledChange {
  readonly path: TreePath;
  readonly below: boolean;
}

export class ChangeJournal {
  readonly #file: AppendFile;
  readonly #clock: Clock;
  #bytes: number;
  #isFull = false;
  #syncing: Timer | undefined;
  #isClosed = false;
  /** What is not known to be at every target. */
  readonly #noted = new Map<string, JournalledChange>();
  #failed: (error: unknown) => void;

  constructor(file: AppendFile, parts: { readonly clock: Clock; readonly failed: (error: unknown) => void }) {
    this.#file = file;
    this.#clock = parts.clock;
    this.#failed = parts.failed;
    this.#bytes = file.content.length;
    for (const change of this.#readContent()) this.#keep(change);
  }

  /** What was noted, by this process or the one before, and is not known to be at every target. */
  left(): JournalledChange[] {
    return [...this.#noted.values()];
  }

  #readContent(): JournalledChange[] {
    const { content } = this.#file;
    const view = new DataView(content.buffer, content.byteOffset, content.length);
    const changes: JournalledChange[] = [];
    for (let at = 0; at + HEAD_BYTES <= content.length; ) {
      const end = at + HEAD_BYTES + view.getUint16(at + 4, true);
      if (end > content.length || checksum(content.subarray(at + 4, end)) !== view.getUint32(at, true)) break;
      const path = Buffer.from(content.subarray(at + HEAD_BYTES, end)).toString("latin1");
      const below = content[at + 6] === 2;
      changes.push({ path, below });
      at = end;
    }
    return changes;
  }

  noted(change: JournalledChange): void {
    if (this.#isClosed) return;
    this.#keep(change);
    if (this.#isFull) return;
    try {
      if (this.#bytes + HEAD_BYTES + change.path.length > JOURNAL_BYTES_MAX) this.#noteEverything();
      else this.#append(change);
      this.#syncSoon();
    } catch (error) {
      this.#failed(error);
      // A part of a record hides those behind it.
      this.#try(() => this.#noteEverything());
    }
  }

  /** Everything that was noted is at every target. */
  settled(): void {
    this.#noted.clear();
    if ((this.#bytes === 0 && !this.#isFull) || this.#isClosed) return;
    this.#try(() => {
      this.#file.clear();
      this.#bytes = 0;
      this.#isFull = false;
    });
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#syncing?.cancel();
    return this.#file.close();
  }

  #keep(change: JournalledChange): void {
    if (this.#noted.size >= NOTED_MAX) {
      this.#noted.clear();
      this.#noted.set("", EVERYTHING);
    }
    this.#noted.set(`${change.below}${change.path}`, change);
  }

  #noteEverything(): void {
    this.#isFull = true;
    this.#file.clear();
    this.#bytes = 0;
    this.#append(EVERYTHING);
  }

  #try(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#failed(error);
    }
  }

  #append({ path, below }: JournalledChange): void {
    const record = Buffer.alloc(HEAD_BYTES + path.length);
    record.writeUInt16LE(path.length, 4);
    record[6] = below ? 2 : 1;
    record.write(path, HEAD_BYTES, "latin1");
    record.writeUInt32LE(checksum(record.subarray(4)), 0);
    this.#file.append(record);
    this.#bytes += record.length;
  }

  #syncSoon(): void {
    this.#syncing ??= this.#clock.after(SYNC_MS, () => {
      this.#syncing = undefined;
      this.#file.sync().catch((error: unknown) => this.#failed(error));
    });
  }
}
