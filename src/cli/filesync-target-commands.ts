/**
 * `ropewalk filesync target …`, and the files that keys are in.
 * Always holds: a key's file is readable by its owner only, and none that is there is written over.
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { RopewalkError } from "../base/errors.ts";
import { checkName } from "../base/object-name.ts";
import type { FilesyncTargetJson } from "../client/mod.ts";
import type { AddCommand } from "./command-line.ts";
import type { Session } from "./session.ts";
import { formatTable, formatTime } from "./table.ts";

const KEY_FILE_MODE = 0o600;
const KEY_FILE_BYTES_MAX = 1024;
const KEY = /^[0-9a-f]{64}$/;

export function addFilesyncTargetCommands(target: Command, add: AddCommand): void {
  add(
    target,
    "add <name>",
    "let a synchronization elsewhere write to a directory here",
    async (session, [name], { root, key: file }) => {
      checkName("target", name!);
      if (file !== undefined) await expectAbsent(session, file);
      const ropewalk = await session.connect();
      const made = await ropewalk.filesyncTargets.add({ name: name!, root: resolve(root!) });
      if (file === undefined) {
        await session.print(
          made,
          ({ key }) =>
            `Target ${name} is ${made.root}. Its key is shown only now; keep it in a file for --key at the source:\n${key}\n`,
        );
        return;
      }
      const { key, ...shown } = made;
      try {
        await session.writeFile(file, [Buffer.from(`${key}\n`)], KEY_FILE_MODE);
      } catch (error) {
        // Nobody has its key.
        await ropewalk.filesyncTargets.delete(name!);
        throw error;
      }
      await session.print(
        { ...shown, keyFile: file },
        () => `Target ${name} is ${made.root}. Its key: ${file}\n`,
      );
    },
  )
    .requiredOption("--root <dir>", "the directory; made when absent")
    .option("--key <file>", "where to write the key, for its owner only, instead of showing it");

  add(target, "list", "list them", async (session) => {
    await session.print(await (await session.connect()).filesyncTargets.list(), formatTargets);
  });

  add(target, "delete <name>", "let nobody write to it any more", async (session, [name]) => {
    await (await session.connect()).filesyncTargets.delete(name!);
    await session.print({ name, deleted: true }, () => `Deleted target ${name}; its directory stays.\n`);
  });
}

/** INVALID_ARGUMENT */
export async function readKeyFile(session: Session, file: string): Promise<string> {
  const key = Buffer.from(await session.readFile(file, KEY_FILE_BYTES_MAX))
    .toString("latin1")
    .trim();
  if (KEY.test(key)) return key;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `${file} holds no key: 64 hexadecimal digits, as ropewalk filesync target add made them at the target.`,
  );
}

async function expectAbsent(session: Session, file: string): Promise<void> {
  const isThere = await session.readFile(file, KEY_FILE_BYTES_MAX).then(
    () => true,
    (error: RopewalkError) => error.code === "TOO_LARGE",
  );
  if (isThere)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${file} is there already, and may be another key; name a new file.`,
    );
}

function formatTargets(targets: readonly FilesyncTargetJson[]): string {
  if (targets.length === 0)
    return "There are no targets. Make one: ropewalk filesync target add NAME --root DIR\n";
  return formatTable(
    ["NAME", "ROOT", "MADE"],
    targets.map(({ name, root, createdAt }) => [name, root, formatTime(createdAt)]),
  );
}
