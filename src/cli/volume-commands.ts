/** `ropewalk volume …` */
import type { Command } from "commander";
import { checkName, checkVolumeSize, parseMapName } from "../base/object-name.ts";
import { formatSize, parseSize } from "../base/size-text.ts";
import type { VolumeJson } from "../client/mod.ts";
import type { AddCommand } from "./command-line.ts";
import { parseStackFile, STACK_FILE_BYTES_MAX } from "./stack-file.ts";
import { formatFields, formatTable, formatTime } from "./table.ts";

export function addVolumeCommands(volume: Command, add: AddCommand): void {
  add(
    volume,
    "create <name>",
    "make a thin volume, or one that stands on others",
    async (session, [name], { size, stack }) => {
      checkName("volume", name!);
      if ((size === undefined) === (stack === undefined))
        volume.error("error: give either --size or --stack");
      const wish =
        size === undefined
          ? {
              name: name!,
              stack: await parseStackFile(stack!, await session.readFile(stack!, STACK_FILE_BYTES_MAX)),
            }
          : { name: name!, sizeBytes: checkVolumeSize(parseSize(size)) };
      const created = await (await session.connect()).volumes.create(wish);
      const kind = size === undefined ? "stack" : "volume";
      await session.print(
        created,
        ({ name, sizeBytes }) => `Made ${kind} ${name} of ${formatSize(sizeBytes)}.\n`,
      );
    },
  )
    .option("--size <size>", "512, 4KiB, 10GiB, 1TB; a multiple of 512 bytes")
    .option("--stack <file>", "a tree of layers over volumes, files and NBD exports; YAML or JSON");

  add(volume, "list", "list all volumes", async (session) => {
    await session.print(await (await session.connect()).volumes.list(), formatVolumes);
  });

  add(volume, "show <name>", "show a volume", async (session, [name]) => {
    await session.print(await (await session.connect()).volumes.show(name!), formatVolume);
  });

  add(volume, "resize <name>", "grow or shrink a volume", async (session, [name], { size }) => {
    const sizeBytes = checkVolumeSize(parseSize(size!));
    const resized = await (await session.connect()).volumes.resize(name!, sizeBytes);
    await session.print(resized, ({ name }) => `Volume ${name} now has ${formatSize(sizeBytes)}.\n`);
  }).requiredOption("--size <size>", "the new size; what is cut off by a smaller one is lost");

  add(volume, "delete <name>", "delete a volume and its data", async (session, [name]) => {
    await (await session.connect()).volumes.delete(name!);
    await session.print({ name, deleted: true }, () => `Deleted volume ${name}.\n`);
  });

  add(
    volume,
    "clone <source> <name>",
    "make a writable copy without copying data",
    async (session, given) => {
      const [source, name] = given as [string, string];
      const { volume, snapshot } = parseMapName(source);
      const clone = await (await session.connect()).volumes.clone({ source: volume, snapshot, name });
      await session.print(clone, () => `Made volume ${name}, a clone of ${source}.\n`);
    },
  ).addHelpText("after", "\n<source> is VOLUME, as it is now, or VOLUME@SNAPSHOT.");

  add(volume, "detach <name>", "forget what a volume was cloned from", async (session, [name]) => {
    const detached = await (await session.connect()).volumes.detach(name!);
    await session.print(detached, () => `Volume ${name} stands for itself now.\n`);
  });
}

export function formatVolume(volume: VolumeJson): string {
  return formatFields([
    ["name", volume.name],
    ["id", String(volume.id)],
    ["uuid", volume.uuid],
    ["size", `${formatSize(volume.sizeBytes)} (${volume.sizeBytes} bytes)`],
    ["used", `${formatSize(volume.usedBytes)} (${volume.usedBytes} bytes)`],
    ["snapshots", String(volume.snapshots)],
    ["clients", String(volume.clients)],
    ["cloned from", volume.origin ?? "-"],
    ["made", formatTime(volume.createdAt)],
    ...(volume.stack === undefined ? [] : [["stack", JSON.stringify(volume.stack)] as [string, string]]),
  ]);
}

function formatVolumes(volumes: readonly VolumeJson[]): string {
  if (volumes.length === 0)
    return "There are no volumes. Make one: ropewalk volume create NAME --size 10GiB\n";
  return formatTable(
    ["NAME", "SIZE", "USED", "SNAPSHOTS", "CLIENTS", "CLONED FROM", "MADE"],
    volumes.map((volume) => [
      volume.name,
      formatSize(volume.sizeBytes),
      formatSize(volume.usedBytes),
      String(volume.snapshots),
      String(volume.clients),
      volume.stack === undefined ? (volume.origin ?? "-") : "(a stack)",
      formatTime(volume.createdAt),
    ]),
    ["SIZE", "USED", "SNAPSHOTS", "CLIENTS"],
  );
}
