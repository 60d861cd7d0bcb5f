// A logical unit as a file of this machine, the way an operator does it without an initiator in the kernel: qemu-nbd
// speaks iSCSI to the target and NBD to nbdfuse. Nothing on the way keeps writes back.
// Always holds: when it is gone, so are its processes; what was under way fails with an input/output error.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { killAtExit } from "../support/leftovers.ts";
import { NbdFile } from "../support/nbd-mount.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

const START_TIMEOUT_MS = 60_000;
/** nbdfuse opens several and waits for all of them. */
const NBDFUSE_CONNECTIONS_MAX = "8";

export class IscsiDisk implements AsyncDisposable {
  readonly #folder: TemporaryFolder;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #file: NbdFile | undefined;

  private constructor(folder: TemporaryFolder, child: ChildProcess) {
    this.#folder = folder;
    this.#child = child;
    const forget = killAtExit(child.pid!);
    this.#ended = new Promise<void>((done) => child.once("close", () => done())).then(forget);
  }

  static async open(url: string): Promise<IscsiDisk> {
    const folder = new TemporaryFolder();
    const socket = folder.file("qemu.sock");
    const child = spawn(
      "qemu-nbd",
      ["-f", "raw", "-k", socket, "-t", "-e", NBDFUSE_CONNECTIONS_MAX, "--discard=unmap", url],
      {
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    const disk = new IscsiDisk(folder, child);
    let printed = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    try {
      const deadlineMs = performance.now() + START_TIMEOUT_MS;
      while (!existsSync(socket)) {
        if (child.exitCode !== null || performance.now() > deadlineMs)
          throw new Error(`qemu-nbd did not serve ${url}: ${printed}`);
        await delay(10);
      }
      disk.#file = await NbdFile.open(`nbd+unix:///?socket=${socket}`);
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    }
    return disk;
  }

  get path(): string {
    return this.#file!.path;
  }

  /** As if this machine lost its link for good: an initiator that goes on trying would keep its users waiting. */
  async cut(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.[Symbol.asyncDispose]();
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), START_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
    this.#folder[Symbol.dispose]();
  }
}
