/** A file that is appended to, of a machine that does not lose its power: what was appended survives the process. */
import type { AppendFile } from "../../src/ports/mod.ts";

export class SimulatedJournal {
  #content = new Uint8Array(0);

  get sizeBytes(): number {
    return this.#content.length;
  }

  /** As a process has it, from its start on. */
  open(isAlive: () => boolean): AppendFile {
    return {
      content: this.#content,
      append: (bytes) => {
        if (isAlive()) this.#content = new Uint8Array(Buffer.concat([this.#content, bytes]));
      },
      sync: () => Promise.resolve(),
      clear: () => {
        if (isAlive()) this.#content = new Uint8Array(0);
      },
      close: () => Promise.resolve(),
    };
  }
}
