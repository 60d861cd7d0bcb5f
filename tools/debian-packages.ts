// The Debian packages whose programs the tests use, and how each is recognised once it is installed.
// Missing ones are installed when this process may do so (root, apt-get). A package that cannot be had is
// named; the tests that need it then skip, or fail under CI=true (test/support/needs.ts).
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { findProgram } from "./find-program.ts";

interface DebianPackage {
  name: string;
  /** A program in PATH, or a file (with wildcards) if it starts with a slash. */
  proof: string;
}

export const debianPackages: readonly DebianPackage[] = [
  { name: "qemu-utils", proof: "qemu-io" },
  { name: "qemu-block-extra", proof: "/usr/lib/*/qemu/block-iscsi.so" },
  { name: "libiscsi7", proof: "/usr/lib/*/libiscsi.so.7" },
  { name: "libiscsi-bin", proof: "iscsi-test-cu" },
  { name: "libnbd-bin", proof: "nbdinfo" },
  { name: "python3-libnbd", proof: "/usr/lib/python3/dist-packages/nbd.py" },
  { name: "nbdkit", proof: "nbdkit" },
  { name: "fio", proof: "fio" },
  { name: "fuse3", proof: "fusermount3" },
  { name: "e2fsprogs", proof: "mke2fs" },
  { name: "strace", proof: "strace" },
  { name: "openssl", proof: "openssl" },
  { name: "openssh-client", proof: "ssh" },
  { name: "openssh-server", proof: "sshd" },
  { name: "attr", proof: "setfattr" },
  { name: "acl", proof: "setfacl" },
  { name: "unison", proof: "unison" },
  { name: "lsyncd", proof: "lsyncd" },
  { name: "rsync", proof: "rsync" },
  { name: "iproute2", proof: "ip" },
  { name: "exfat-fuse", proof: "mount.exfat-fuse" },
  { name: "exfatprogs", proof: "mkfs.exfat" },
];

/** Installs what is missing and possible; says on stderr what it does and what stays missing. */
export function installDebianPackages(): void {
  const before = missingPackages();
  if (before.length === 0) return;
  if (process.getuid?.() !== 0 || !findProgram("apt-get")) {
    console.error(`not installed here, and not installable by this user: ${before.join(" ")}`);
    return;
  }
  console.error(`installing Debian packages: ${before.join(" ")}`);
  aptGet("update");
  aptGet("install", "--yes", "--no-install-recommends", ...before);
  let still = missingPackages();
  if (still.length > 1) {
    // One name that this release does not know makes apt-get refuse all of them.
    for (const name of still) aptGet("install", "--yes", "--no-install-recommends", name);
    still = missingPackages();
  }
  if (still.length > 0) console.error(`could not be installed: ${still.join(" ")}`);
}

function missingPackages(): string[] {
  return debianPackages.filter(({ proof }) => !isThere(proof)).map(({ name }) => name);
}

function isThere(proof: string): boolean {
  return proof.startsWith("/") ? globSync(proof).length > 0 : findProgram(proof) !== undefined;
}

function aptGet(...parameters: string[]): void {
  spawnSync("apt-get", ["-qq", ...parameters], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", 2, 2],
  });
}
