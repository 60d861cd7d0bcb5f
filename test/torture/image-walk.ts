// What the project is for, walked through with the clients that people have: a real ext4 image goes in, is
// snapshotted, cloned, mounted and changed, compared with the expectation, rolled back, and comes out bit for
// bit; its holes and its changes can be seen from outside.
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Daemon } from "../support/daemon.ts";
import { LoopMount, NbdFile } from "../support/nbd-mount.ts";
import { runProgram, tryProgram } from "../support/run-program.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import type { Checks } from "./checks.ts";
import { editImage, fileSystemProblems, makeImage, treeFor } from "./disk-image.ts";

const COPY_TIMEOUT_MS = 900_000;
const PAGE_BYTES = 4096;
/** What an edit of one file may mark as changed: metadata of several block groups, its data, the journal. */
const CHANGED_BYTES_MAX = 16 * 2 ** 20;

interface Stretch {
  readonly offset: number;
  readonly length: number;
  readonly type: number;
}

export async function imageWalk({ sizeBytes }: { sizeBytes: number }, checks: Checks): Promise<void> {
  using folder = new TemporaryFolder();
  const tree = await treeFor(sizeBytes);
  const [image, expectation, exported] = [
    folder.file("image"),
    folder.file("expectation"),
    folder.file("exported"),
  ];
  await makeImage({ file: image, tree, sizeBytes });
  checks.say(`${tree} as ext4 in ${sizeBytes / 2 ** 20} MiB`);
  await using daemon = await Daemon.start({ poolSize: `${Math.ceil(sizeBytes / 2 ** 30) * 4}GiB` });
  const disk = daemon.uri("disk");
  const same = async (file: string, uri: string) => {
    const { code, stdout, stderr } = await tryProgram(
      "qemu-img",
      ["compare", "-f", "raw", "-F", "raw", file, uri],
      {
        timeoutMs: COPY_TIMEOUT_MS,
      },
    );
    return code === 0 ? [] : [`qemu-img compare: ${stdout}${stderr}`.trim()];
  };

  await daemon.cli("volume", "create", "disk", "--size", String(sizeBytes));
  await runProgram("nbdcopy", ["--flush", image, disk], { timeoutMs: COPY_TIMEOUT_MS });
  checks.check("nbdcopy brings the image in as it is", await same(image, disk));
  checks.check(
    "nbdinfo and qemu-img see the image's holes",
    await holeProblems({ image, uri: disk, sizeBytes }),
  );

  await daemon.cli("snapshot", "create", "disk@base");
  await daemon.cli("volume", "clone", "disk@base", "work");
  await changeMounted(daemon.uri("work"), checks);
  checks.check("changing a clone leaves the volume as it was", await same(image, disk));
  checks.check("changing a clone leaves the snapshot as it was", await same(image, daemon.uri("disk@base")));

  await runProgram("cp", ["--sparse=always", image, expectation]);
  await editImage({ file: expectation, folder: folder.path });
  {
    await using file = await NbdFile.open(disk);
    await editImage({ file: file.path, folder: folder.path });
    const handle = await open(file.path, "r+");
    await handle.sync();
    await handle.close();
  }
  checks.check(
    "an edit of the volume gives what the same edit of the file gives",
    await same(expectation, disk),
  );
  checks.check(
    "the dirty bitmap since the snapshot shows the changes",
    await bitmapProblems({ before: image, after: expectation, uri: disk }),
  );

  const rolledBack = await daemon.tryCli("snapshot", "rollback", "disk@base");
  checks.check("a rollback succeeds", rolledBack.code === 0 ? [] : [rolledBack.stderr]);
  checks.check("after the rollback the volume is what it was", await same(image, disk));
  await runProgram("nbdcopy", [disk, exported], { timeoutMs: COPY_TIMEOUT_MS });
  const compared = await tryProgram("cmp", [image, exported], { timeoutMs: COPY_TIMEOUT_MS });
  checks.check("what comes out is bit for bit what went in", compared.code === 0 ? [] : [compared.stdout]);
  const { errors } = (await daemon.json("scrub")) as { errors: number };
  checks.check("the scrub finds no errors", errors === 0 ? [] : [`${errors} errors`]);
}

/** Mounts the file system of an export read-write, changes it, and looks at it again from a second mount. */
async function changeMounted(uri: string, checks: Checks): Promise<void> {
  const content = "written through a mount\n".repeat(10_000);
  {
    await using file = await NbdFile.open(uri);
    {
      await using mount = await LoopMount.open(file.path);
      const [victim] = readdirSync(mount.path).filter((name) => name !== "lost+found");
      mkdirSync(join(mount.path, "copied"));
      cpSync(import.meta.dirname, join(mount.path, "copied"), { recursive: true });
      writeFileSync(join(mount.path, "written"), content);
      await runProgram("rm", ["-r", join(mount.path, victim!)]);
    }
    checks.check("the changed file system is clean", await fileSystemProblems(file.path));
  }
  await using file = await NbdFile.open(uri);
  await using mount = await LoopMount.open(file.path);
  const different = await tryProgram("diff", ["-r", import.meta.dirname, join(mount.path, "copied")]);
  const written = await runProgram("cat", [join(mount.path, "written")]);
  checks.check("the changes are there after mounting again", [
    ...(different.code === 0 ? [] : [different.stdout]),
    ...(written === content ? [] : ["the written file is different"]),
  ]);
}

/** Both clients must see all data as data, and the image's large holes as holes or zeros. */
async function holeProblems(options: { image: string; uri: string; sizeBytes: number }): Promise<string[]> {
  const { image, uri, sizeBytes } = options;
  const problems: string[] = [];
  const stretches = await nbdMap(uri);
  const total = stretches.reduce((sum, { length }) => sum + length, 0);
  if (total !== sizeBytes) problems.push(`nbdinfo's map covers ${total} of ${sizeBytes} bytes`);
  // Bit 1: reads as zeros. Where it is set the image must really be zeros.
  const empty = stretches.filter(({ type }) => (type & 2) !== 0);
  const emptyBytes = empty.reduce((sum, { length }) => sum + length, 0);
  if (emptyBytes < sizeBytes / 4)
    problems.push(`nbdinfo sees only ${emptyBytes} bytes of holes in a sparse image`);
  problems.push(...(await nonZeroIn(image, empty)));
  const qemu = JSON.parse(
    await runProgram("qemu-img", ["map", "--output=json", "-f", "raw", uri], { timeoutMs: COPY_TIMEOUT_MS }),
  ) as { start: number; length: number; zero: boolean }[];
  const qemuEmpty = qemu
    .filter(({ zero }) => zero)
    .map(({ start, length }) => ({ offset: start, length, type: 2 }));
  const qemuEmptyBytes = qemuEmpty.reduce((sum, { length }) => sum + length, 0);
  if (qemuEmptyBytes !== emptyBytes) {
    problems.push(`qemu-img sees ${qemuEmptyBytes} bytes of zeros, nbdinfo ${emptyBytes}`);
  }
  return problems;
}

async function nbdMap(uri: string, context?: string): Promise<Stretch[]> {
  const map = context === undefined ? "--map" : `--map=${context}`;
  return JSON.parse(
    await runProgram("nbdinfo", ["--json", map, uri], { timeoutMs: COPY_TIMEOUT_MS }),
  ) as Stretch[];
}

async function nonZeroIn(image: string, stretches: readonly Stretch[]): Promise<string[]> {
  const handle = await open(image, "r");
  const bytes = Buffer.alloc(2 ** 20);
  const zeros = Buffer.alloc(bytes.length);
  try {
    for (const { offset, length } of stretches) {
      for (let at = 0; at < length; at += bytes.length) {
        const want = Math.min(bytes.length, length - at);
        const { bytesRead } = await handle.read(bytes, 0, want, offset + at);
        if (bytes.compare(zeros, 0, bytesRead, 0, bytesRead) !== 0) {
          return [`the map says zeros at ${offset + at}, where the image has data`];
        }
      }
    }
  } finally {
    await handle.close();
  }
  return [];
}

/** Every page that differs must be marked, and not much more. */
async function bitmapProblems(options: { before: string; after: string; uri: string }): Promise<string[]> {
  const dirty = (await nbdMap(options.uri, "qemu:dirty-bitmap:base")).filter(({ type }) => (type & 1) !== 0);
  const marked = dirty.reduce((sum, { length }) => sum + length, 0);
  const problems = marked > CHANGED_BYTES_MAX ? [`${marked} bytes are marked as changed`] : [];
  const changed = await differingPages(options.before, options.after);
  if (changed.length === 0) problems.push("the edit changed nothing");
  const missed = changed.filter(
    (page) => !dirty.some(({ offset, length }) => offset <= page && page + PAGE_BYTES <= offset + length),
  );
  if (missed.length > 0)
    problems.push(`${missed.length} changed pages are not marked, the first at ${missed[0]}`);
  return problems;
}

/** Offsets of the pages in which two files of one length differ. */
async function differingPages(one: string, other: string): Promise<number[]> {
  const [first, second] = [await open(one, "r"), await open(other, "r")];
  const [left, right] = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)];
  const pages: number[] = [];
  try {
    for (let offset = 0; ; offset += left.length) {
      const { bytesRead } = await first.read(left, 0, left.length, offset);
      await second.read(right, 0, right.length, offset);
      if (bytesRead === 0) return pages;
      if (left.compare(right, 0, bytesRead, 0, bytesRead) === 0) continue;
      for (let at = 0; at < bytesRead; at += PAGE_BYTES) {
        const end = Math.min(at + PAGE_BYTES, bytesRead);
        if (left.compare(right, at, end, at, end) !== 0) pages.push(offset + at);
      }
    }
  } finally {
    await first.close();
    await second.close();
  }
}
