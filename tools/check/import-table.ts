// Reads import-table.json: the rooms of the project and which of them may import which.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Room {
  /** Folder, or the one file, that the room is. */
  folder: string;
  mayImport: string[] | "everything" | "everything but main";
  /** Rooms of which only `import type` is allowed. */
  mayImportTypesOf?: string[];
  /** Public doors besides mod.ts, relative to the folder. */
  doors?: string[];
  /** May use files, sockets, timers, the clock and chance directly. */
  touchesTheMachine?: boolean;
}

export interface ImportTable {
  /** Rooms that every other may import, by any file. */
  alwaysAllowed: string[];
  rooms: Record<string, Room>;
  /** Node's own modules that compute only; "all" of one, or these names of it. */
  builtinsAllowedEverywhere: Record<string, string[] | "all">;
  /** Packages that only these rooms of src may import. */
  packagesKeptToRooms: Record<string, string[]>;
}

export function readImportTable(): ImportTable {
  return JSON.parse(readFileSync(join(import.meta.dirname, "import-table.json"), "utf8")) as ImportTable;
}

/** The room that a file (relative to the root) belongs to. */
export function roomOf(table: ImportTable, file: string): string | undefined {
  return Object.keys(table.rooms).find((name) => {
    const { folder } = table.rooms[name]!;
    return file === folder || file.startsWith(`${folder}/`);
  });
}

/** Whether the table lets one room import another; a room may always import itself. */
export function mayImport(table: ImportTable, from: string, to: string): boolean {
  const allowed = table.rooms[from]!.mayImport;
  if (from === to || table.alwaysAllowed.includes(to)) return true;
  if (allowed === "everything") return true;
  if (allowed === "everything but main") return to !== "main";
  return allowed.includes(to);
}
