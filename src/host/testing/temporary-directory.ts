/** Folders of the real file system for tests, gone when the test ends; also small file systems of their own. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export function temporaryDirectory(test: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "ropewalk-host-"));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Mounts a tmpfs with the options (`size=1m`, `ro`) for the length of the test; needs root. */
export function temporaryFileSystem(test: TestContext, options: string): string {
  const directory = mkdtempSync(join(tmpdir(), "ropewalk-host-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "ropewalk-test", directory]);
  test.after(() => {
    execFileSync("umount", ["--lazy", directory]);
    rmSync(directory, { recursive: true });
  });
  return directory;
}

/**
 * Mounts an ext4 of `sizeBytes` from an image file, so that there is a device below the page cache; needs root, loop,
 * mkfs.ext4. `features`: as mkfs.ext4 -O takes them.
 */
export function temporaryExt4(test: TestContext, sizeBytes: number, features?: string): string {
  const directory = mkdtempSync(join(tmpdir(), "ropewalk-host-"));
  const image = join(directory, "image");
  const mountPoint = join(directory, "mounted");
  writeFileSync(image, "");
  truncateSync(image, sizeBytes);
  mkdirSync(mountPoint);
  execFileSync("mkfs.ext4", ["-q", "-F", ...(features === undefined ? [] : ["-O", features]), image]);
  execFileSync("mount", ["-o", "loop", image, mountPoint]);
  test.after(() => {
    execFileSync("umount", ["--lazy", mountPoint]);
    rmSync(directory, { recursive: true });
  });
  return mountPoint;
}
