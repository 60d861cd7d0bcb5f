// Reads the files of `versions/` at a target again and again, on a thread of its own, and tells of each that is not whole.
import { Worker } from "node:worker_threads";

export class TornWatcher implements Disposable {
  readonly torn: string[] = [];
  readonly #worker: Worker;
  readonly #words = new Int32Array(new SharedArrayBuffer(8));

  constructor(target: string) {
    this.#worker = new Worker(new URL("./torn-watcher-thread.ts", import.meta.url), {
      workerData: { target, words: this.#words.buffer },
    });
    this.#worker.on("message", (line: string) => this.torn.push(line));
    this.#worker.on("error", (error) => this.torn.push(`the watcher ended: ${error.message}`));
  }

  /** Files that it read. */
  get reads(): number {
    return Atomics.load(this.#words, 1);
  }

  [Symbol.dispose](): void {
    Atomics.store(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }
}
