// A file system of its own for a test, in memory or in a file, unmounted with the test or with this process.
import { spawnSync } from "node:child_process";
import { undoAtExit } from "./leftovers.ts";
import { runProgram } from "./run-program.ts";

export class SmallMount implements AsyncDisposable {
  readonly path: string;
  /** The loop device below it. */
  readonly #device: string | undefined;
  readonly #forget: () => void;

  private constructor(path: string, device?: string) {
    this.path = path;
    this.#device = device;
    this.#forget = undoAtExit(() => this.#remove());
  }

  static async tmpfs(path: string, sizeBytes: number): Promise<SmallMount> {
    await runProgram("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", path]);
    return new SmallMount(path);
  }

  /** Without extended attributes, and without a limit. */
  static async ramfs(path: string): Promise<SmallMount> {
    await runProgram("mount", ["-t", "ramfs", "ramfs", path]);
    return new SmallMount(path);
  }

  /** In `file`, through a loop device and FUSE: of names that differ in case only it has one. */
  static async exfat(
    path: string,
    { file, sizeBytes }: { file: string; sizeBytes: number },
  ): Promise<SmallMount> {
    await runProgram("truncate", ["-s", String(sizeBytes), file]);
    await runProgram("mkfs.exfat", [file]);
    const device = (await runProgram("losetup", ["--find", "--show", file])).trim();
    const mount = new SmallMount(path, device);
    try {
      await runProgram("mount.exfat-fuse", [device, path]);
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
    return mount;
  }

  /** In `file`, by the kernel, with inodes of 128 bytes as ext3 has them: its times are those of whole seconds. */
  static async smallInodes(
    path: string,
    { file, sizeBytes }: { file: string; sizeBytes: number },
  ): Promise<SmallMount> {
    await runProgram("truncate", ["-s", String(sizeBytes), file]);
    await runProgram("mkfs.ext4", ["-q", "-F", "-I", "128", file]);
    await runProgram("mount", ["-o", "loop", file, path]);
    return new SmallMount(path);
  }

  async remount(options: string): Promise<void> {
    await runProgram("mount", ["-o", `remount,${options}`, this.path]);
  }

  async unmount(): Promise<void> {
    await runProgram("umount", [this.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#remove();
    this.#forget();
  }

  /** Lazily: a daemon may still have it open. */
  #remove(): void {
    spawnSync("umount", ["--lazy", this.path]);
    if (this.#device !== undefined) spawnSync("losetup", ["--detach", this.#device]);
  }
}
