/** `ropewalk snapshot …` */
import type { Command } from "commander";
import { RopewalkError } from "../base/errors.ts";
import { parseMapName, quoted } from "../base/object-name.ts";
import { formatSize } from "../base/size-text.ts";
import type { DifferenceJson, SnapshotJson } from "../client/mod.ts";
import type { AddCommand } from "./command-line.ts";
import type { Session } from "./session.ts";
import { formatFields, formatTable, formatTime } from "./table.ts";
import { formatVolume } from "./volume-commands.ts";

/** Differences are printed when this many are at hand. */
const PIECE_CHARACTERS = 16_384;

export function addSnapshotCommands(snapshot: Command, add: AddCommand): void {
  add(snapshot, "create <volume@snapshot>", "freeze a volume as it is now", async (session, [text]) => {
    const { volume, name } = parseSnapshot(text!);
    const taken = await (await session.connect()).snapshots.create(volume, name);
    await session.print(taken, () => `Took snapshot ${text}.\n`);
  });

  add(snapshot, "list [volume]", "list the snapshots of a volume, or of all", async (session, [volume]) => {
    await session.print(await (await session.connect()).snapshots.list(volume), formatSnapshots);
  });

  add(snapshot, "show <volume@snapshot>", "show a snapshot", async (session, [text]) => {
    const { volume, name } = parseSnapshot(text!);
    await session.print(await (await session.connect()).snapshots.show(volume, name), formatSnapshot);
  });

  add(snapshot, "delete <volume@snapshot>", "delete a snapshot", async (session, [text]) => {
    const { volume, name } = parseSnapshot(text!);
    await (await session.connect()).snapshots.delete(volume, name);
    await session.print({ volume, name, deleted: true }, () => `Deleted snapshot ${text}.\n`);
  });

  add(
    snapshot,
    "rollback <volume@snapshot>",
    "make the volume what the snapshot holds",
    async (session, [text]) => {
      const { volume, name } = parseSnapshot(text!);
      const rolledBack = await (await session.connect()).snapshots.rollback(volume, name);
      await session.print(rolledBack, (volume) => `Rolled back to ${text}.\n${formatVolume(volume)}`);
    },
  ).addHelpText("after", "\nNo client may be connected to the volume. What was written since is lost.");

  add(snapshot, "diff <from> [to]", "list the ranges that changed", async (session, [fromText, toText]) => {
    const from = parseSnapshot(fromText!);
    const to = toText === undefined ? { volume: from.volume } : parseMapName(toText);
    if (to.volume !== from.volume)
      throw new RopewalkError("INVALID_ARGUMENT", `${fromText} and ${toText} are not of one volume.`);
    const differences = (await session.connect()).snapshots.difference({
      volume: from.volume,
      from: from.name,
      to: to.snapshot,
    });
    if (session.wantsJson) await printJson(session, differences);
    else await printLines(session, differences);
  }).addHelpText("after", "\n<from> is VOLUME@SNAPSHOT; [to] is VOLUME@SNAPSHOT, or VOLUME as it is now.");
}

/** VOLUME@SNAPSHOT. INVALID_NAME */
function parseSnapshot(text: string): { volume: string; name: string } {
  const { volume, snapshot } = parseMapName(text);
  if (snapshot !== undefined) return { volume, name: snapshot };
  throw new RopewalkError("INVALID_NAME", `${quoted(text)} names no snapshot; write it as VOLUME@SNAPSHOT.`);
}

async function printJson(session: Session, differences: AsyncIterable<DifferenceJson>): Promise<void> {
  let piece = "[";
  let separator = "\n  ";
  for await (const difference of differences) {
    piece += separator + JSON.stringify(difference);
    separator = ",\n  ";
    if (piece.length < PIECE_CHARACTERS) continue;
    await session.write(piece);
    piece = "";
  }
  await session.write(`${piece}\n]\n`);
}

async function printLines(session: Session, differences: AsyncIterable<DifferenceJson>): Promise<void> {
  let piece = `${"OFFSET".padStart(16)}  ${"LENGTH".padStart(16)}  NOW\n`;
  let [count, bytes] = [0, 0];
  for await (const { offsetBytes, lengthBytes, kind } of differences) {
    piece += `${String(offsetBytes).padStart(16)}  ${String(lengthBytes).padStart(16)}  ${kind}\n`;
    count++;
    bytes += lengthBytes;
    if (piece.length < PIECE_CHARACTERS) continue;
    await session.write(piece);
    piece = "";
  }
  if (count === 0) await session.write("Nothing changed.\n");
  else await session.write(`${piece}${count} range${count === 1 ? "" : "s"}, ${formatSize(bytes)}\n`);
}

function formatSnapshot(snapshot: SnapshotJson): string {
  return formatFields([
    ["snapshot", `${snapshot.volume}@${snapshot.name}`],
    ["id", String(snapshot.id)],
    ["uuid", snapshot.uuid],
    ["size", `${formatSize(snapshot.sizeBytes)} (${snapshot.sizeBytes} bytes)`],
    ["used", `${formatSize(snapshot.usedBytes)} (${snapshot.usedBytes} bytes)`],
    ["position", String(snapshot.sequence)],
    ["clones", String(snapshot.clones)],
    ["clients", String(snapshot.clients)],
    ["taken", formatTime(snapshot.createdAt)],
  ]);
}

function formatSnapshots(snapshots: readonly SnapshotJson[]): string {
  if (snapshots.length === 0)
    return "There are no snapshots. Take one: ropewalk snapshot create VOLUME@NAME\n";
  return formatTable(
    ["SNAPSHOT", "SIZE", "USED", "CLONES", "CLIENTS", "TAKEN"],
    snapshots.map((snapshot) => [
      `${snapshot.volume}@${snapshot.name}`,
      formatSize(snapshot.sizeBytes),
      formatSize(snapshot.usedBytes),
      String(snapshot.clones),
      String(snapshot.clients),
      formatTime(snapshot.createdAt),
    ]),
    ["SIZE", "USED", "CLONES", "CLIENTS"],
  );
}
