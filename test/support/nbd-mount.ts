// An NBD export as a file (nbdfuse), and the file system in it as a folder (a loop mount), the way an operator
// does it where the kernel has no NBD. Both go away on disposal, and when this process ends.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killAtExit, undoAtExit } from "./leftovers.ts";
import { runProgram } from "./run-program.ts";
import { TemporaryFolder } from "./temporary-folder.ts";

const START_TIMEOUT_MS = 15_000;

/** The export as one file. */
export class NbdFile implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #forget: (() => void)[];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(folder: TemporaryFolder, child: ChildProcess) {
    this.#folder = folder;
    this.#child = child;
    this.#ended = new Promise((done) => child.once("close", () => done()));
    this.#forget = [
      undoAtExit(() => spawnSync("fusermount3", ["-u", "-z", folder.file("nbd")])),
      killAtExit(child.pid!),
    ];
  }

  static async open(uri: string): Promise<NbdFile> {
    const folder = new TemporaryFolder();
    mkdirSync(folder.file("nbd"));
    const child = spawn("nbdfuse", [join(folder.file("nbd"), "disk"), uri], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const file = new NbdFile(folder, child);
    let printed = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!existsSync(file.path)) {
      if (child.exitCode !== null || performance.now() > deadlineMs) {
        await file[Symbol.asyncDispose]();
        throw new Error(`nbdfuse did not mount ${uri}: ${printed}`);
      }
      await delay(10);
    }
    return file;
  }

  get path(): string {
    return join(this.#folder.file("nbd"), "disk");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whoever had it open may need a moment to let go.
    for (let attempt = 0; attempt < 100 && this.#child.exitCode === null; attempt++) {
      if (spawnSync("fusermount3", ["-u", this.#folder.file("nbd")]).status === 0) break;
      await delay(50);
    }
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), START_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
    // Where it ended by itself, its mount may still be there, of nothing.
    spawnSync("fusermount3", ["-u", "-z", this.#folder.file("nbd")]);
    for (const forget of this.#forget) forget();
    this.#folder[Symbol.dispose]();
  }
}

/** The file system in a file as a folder, read-write. */
export class LoopMount implements AsyncDisposable {
  readonly path: string;
  readonly #folder: TemporaryFolder;
  readonly #forget: () => void;

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
    this.path = folder.file("mount");
    this.#forget = undoAtExit(() => spawnSync("umount", ["-l", this.path]));
  }

  static async open(file: string): Promise<LoopMount> {
    const mount = new LoopMount(new TemporaryFolder());
    mkdirSync(mount.path);
    try {
      await runProgram("mount", ["-o", "loop", file, mount.path]);
    } catch (error) {
      mount.#forget();
      mount.#folder[Symbol.dispose]();
      throw error;
    }
    return mount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runProgram("umount", [this.path]);
    this.#forget();
    this.#folder[Symbol.dispose]();
  }
}
