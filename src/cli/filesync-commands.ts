/** `ropewalk filesync …` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { RopewalkError } from "../base/errors.ts";
import { checkName, quoted } from "../base/object-name.ts";
import { formatSize, parseSize } from "../base/size-text.ts";
import type {
  AddFilesyncJson,
  FilesyncJson,
  FilesyncSyncJson,
  FilesyncVerificationJson,
} from "../client/mod.ts";
import type { AddCommand } from "./command-line.ts";
import { formatFilesync, formatFilesyncs, formatProgress } from "./filesync-tables.ts";
import { addFilesyncTargetCommands, readKeyFile } from "./filesync-target-commands.ts";
import type { Session } from "./session.ts";

const MODES = ["full", "incremental", "attributes"] as const;
const DELETES = ["mirror", "keep", "trash"] as const;
const WITH_SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;

const collected = (value: string, before: string[] = []) => [...before, value];

export function addFilesyncCommands(filesync: Command, add: AddCommand): void {
  addAdd(filesync, add);
  addSync(filesync, add);

  add(filesync, "list", "list all synchronizations", async (session) => {
    await session.print(await (await session.connect()).filesyncs.list(), formatFilesyncs);
  });

  add(filesync, "show <name>", "show a synchronization", async (session, [name], { wait }) => {
    const { filesyncs } = await session.connect();
    const shown = wait === undefined ? await filesyncs.show(name!) : await settled(session, name!);
    await session.print(shown, formatFilesync);
  }).option("--wait", "wait until the targets equal the source as of now");

  add(filesync, "verify <name>", "compare all contents by hashes on both sides", async (session, [name]) => {
    const { filesyncs } = await session.connect();
    const found = await session.follow(({ signal, progress }) =>
      filesyncs.verify(name!, {
        signal,
        onProgress: (_state, elapsedMs) => progress.show("verify: hashing both sides", elapsedMs),
      }),
    );
    if (found.differences > 0) session.exitCode = 1;
    await session.print(found, formatVerification);
  }).addHelpText("after", "\nChanges nothing. Exit code 1 when something differs.");

  add(filesync, "pause <name>", "send nothing until it is resumed", async (session, [name]) => {
    const paused = await (await session.connect()).filesyncs.pause(name!);
    await session.print(paused, () => `Paused ${name}; what changes is noted.\n`);
  });

  add(filesync, "resume <name>", "go on", async (session, [name]) => {
    const resumed = await (await session.connect()).filesyncs.resume(name!);
    await session.print(resumed, () => `${name} goes on.\n`);
  });

  add(
    filesync,
    "delete <name>",
    "stop and forget it; the targets stay as they are",
    async (session, [name]) => {
      await (await session.connect()).filesyncs.delete(name!);
      await session.print({ name, deleted: true }, () => `Deleted ${name}; its targets stay as they are.\n`);
    },
  );

  addFilesyncTargetCommands(
    filesync.command("target").description("directories here that synchronizations elsewhere may write to"),
    add,
  );
}

function addAdd(filesync: Command, add: AddCommand): void {
  add(filesync, "add <name>", "replicate a directory tree, from now on", async (session, [name], given) => {
    checkName("synchronization", name!);
    const options = given as unknown as AddOptions;
    const keys: string[] = [];
    for (const file of options.key ?? []) keys.push(await readKeyFile(session, file));
    const added = await (await session.connect()).filesyncs.add({
      name: name!,
      source: resolve(options.source),
      targets: withKeys(options.to.map(absoluteTarget), keys),
      ...settingsOf(options),
    });
    await session.print(
      added,
      () => `Replicating ${added.source} to ${added.targets.map(({ to }) => to).join(", ")}.\n`,
    );
  })
    .requiredOption("--source <dir>", "the directory to replicate")
    .requiredOption(
      "--to <dest>",
      "a directory, ropewalk://HOST:PORT/NAME or ssh://USER@HOST/PATH; repeatable",
      collected,
    )
    .option(
      "--key <file>",
      "the key of ropewalk://, repeatable: one for all, or one for each in their order",
      collected,
    )
    .option("--threads <number>", "connections to each target, 1 to 16 (4)")
    .option("--mode <mode>", `what a bulk compares: ${MODES.join(", ")} (attributes)`)
    .option(
      "--deletes <policy>",
      `what becomes of what is gone at the source: ${DELETES.join(", ")} (mirror)`,
    )
    .option("--exclude <pattern>", "pass over *.tmp, /cache, build/**/out; repeatable", collected)
    .option(
      "--barrier <scope>",
      "before which copies a change waits: tree, or path for those that it touches (tree)",
    )
    .option("--bandwidth <size>", "limit of what is sent to each target, a second: 10MiB (no limit)")
    .addHelpText(
      "after",
      "\nThe target becomes what the source is: what is only at the target is removed, unless --deletes says otherwise." +
        "\nA target directory is made when absent. ropewalk:// needs the key that `ropewalk filesync target add` made there." +
        "\nOver ssh:// a `ropewalk` must be in the PATH of the other side; its key is the user's affair.",
    );
}

interface AddOptions {
  readonly source: string;
  readonly to: readonly string[];
  readonly key?: readonly string[];
  readonly threads?: string;
  readonly mode?: string;
  readonly deletes?: string;
  readonly exclude?: readonly string[];
  readonly barrier?: string;
  readonly bandwidth?: string;
}

type Settings = Omit<AddFilesyncJson, "name" | "source" | "targets">;

function settingsOf({ threads, mode, deletes, exclude, barrier, bandwidth }: AddOptions): Settings {
  return {
    ...(threads === undefined ? {} : { threads: threadCount(threads) }),
    ...(mode === undefined ? {} : { mode: oneOf("--mode", mode, MODES) }),
    ...(deletes === undefined ? {} : { deletes: oneOf("--deletes", deletes, DELETES) }),
    ...(exclude === undefined ? {} : { excludes: [...exclude] }),
    ...(barrier === undefined ? {} : { barrier: oneOf("--barrier", barrier, ["tree", "path"] as const) }),
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecond: parseSize(bandwidth) }),
  };
}

/** Paths are the user's, who stands somewhere; the daemon stands elsewhere. */
function absoluteTarget(text: string): string {
  return WITH_SCHEME.test(text) ? text : resolve(text);
}

/** INVALID_ARGUMENT when there are neither one key nor as many as targets that take one. */
function withKeys(targets: readonly string[], keys: readonly string[]): AddFilesyncJson["targets"] {
  const takers = targets.filter(takesKey);
  if (keys.length > 1 && keys.length !== takers.length)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${keys.length} keys were given for ${takers.length} targets that take one; give one for all, or one for each.`,
    );
  if (keys.length > 0 && takers.length === 0)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      "No target takes a key; --key is for ropewalk://HOST:PORT/NAME.",
    );
  return targets.map((to) => {
    const key = takesKey(to) ? (keys[takers.indexOf(to)] ?? keys[0]) : undefined;
    return key === undefined ? { to } : { to, key };
  });
}

function takesKey(target: string): boolean {
  return /^ropewalk:/i.test(target);
}

function threadCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 16) return count;
  throw new RopewalkError("INVALID_ARGUMENT", `${quoted(text)} is no number of threads; it is 1 to 16.`);
}

function oneOf<Choice extends string>(option: string, text: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new RopewalkError("INVALID_ARGUMENT", `${option}: ${quoted(text)} is none of ${choices.join(", ")}.`);
}

function addSync(filesync: Command, add: AddCommand): void {
  add(
    filesync,
    "sync <name>",
    "compare the tree with its targets and bring over what differs",
    async (session, [name], { mode, allowDeletes, dryRun }) => {
      const { filesyncs } = await session.connect();
      const done = await session.follow(({ signal, progress }) =>
        filesyncs.sync(name!, {
          ...(mode === undefined ? {} : { mode: oneOf("--mode", mode, MODES) }),
          ...(allowDeletes === undefined ? {} : { allowDeletes: true }),
          ...(dryRun === undefined ? {} : { dryRun: true }),
          signal,
          onProgress: (state, elapsedMs) => progress.show(`sync: ${formatProgress(state)}`, elapsedMs),
        }),
      );
      await session.print(done, formatSynced);
    },
  )
    .option("--mode <mode>", `${MODES.join(", ")} (as the synchronization has it)`)
    .option("--allow-deletes", "remove as much as it takes, whatever the guard against mass deletion says")
    .option("--dry-run", "change nothing, and say what would be done")
    .addHelpText(
      "after",
      "\nfull sends all bytes, incremental those that differ, attributes only files whose size, times, mode or owner" +
        "\ndiffer. Ctrl-C cancels; what was copied stays.",
    );
}

async function settled(session: Session, name: string): Promise<FilesyncJson> {
  const { filesyncs } = await session.connect();
  return session.follow(({ signal, progress }) =>
    filesyncs.settled(name, {
      signal,
      onProgress: (state, elapsedMs) => progress.show(`wait: ${formatProgress(state)}`, elapsedMs),
    }),
  );
}

function formatSynced({ copied, removed, bytes, dryRun }: FilesyncSyncJson): string {
  if (dryRun === undefined) return `Copied ${copied} files (${formatSize(bytes)}), removed ${removed}.\n`;
  if (dryRun.length === 0) return "Nothing would change.\n";
  const lines = dryRun.map(({ what, path }) => `${what.padEnd(10)} ${path}\n`).join("");
  return `${lines}Would copy ${copied} files (${formatSize(bytes)}) and remove ${removed}; nothing was changed.\n`;
}

function formatVerification({ files, bytes, differences, different }: FilesyncVerificationJson): string {
  const compared = `${files} files (${formatSize(bytes)}) compared`;
  if (differences === 0) return `${compared}; all are equal.\n`;
  const lines = different.map(({ to, path, what }) => `${what}: ${path} at ${to}\n`).join("");
  return `${lines}${compared}; ${differences} differ. Bring them over: ropewalk filesync sync NAME --mode incremental\n`;
}
