// A folder of its own for a test, removed with everything in it when the test is done or the process ends.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { undoAtExit } from "./leftovers.ts";

export class TemporaryFolder implements Disposable {
  readonly path: string;
  readonly #forget: () => void;

  /** `parent` is the system's folder for temporary files unless given. */
  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(join(parent, "ropewalk-"));
    this.#forget = undoAtExit(() => this.#remove());
  }

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    this.#remove();
    this.#forget();
  }

  #remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}
