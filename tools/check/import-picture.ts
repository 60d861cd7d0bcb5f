// The picture of the rooms in ARCHITECTURE.md, drawn from import-table.json, and the check that it still is.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Check } from "./check.ts";
import { type ImportTable, readImportTable } from "./import-table.ts";
import { markedPart } from "./marked-part.ts";

export const importPictureFile = "ARCHITECTURE.md";
export const importPictureName = "import picture";

export const importPictureCheck: Check = {
  name: "import picture",
  run: (root) => {
    const file = join(root, importPictureFile);
    const drawn = existsSync(file) ? markedPart(readFileSync(file, "utf8"), importPictureName) : undefined;
    if (drawn === undefined) return [`${importPictureFile}: the marks of the import picture are missing`];
    if (drawn === drawImports(readImportTable())) return [];
    return [
      `${importPictureFile}: the picture differs from tools/check/import-table.json; run npm run generate`,
    ];
  },
};

/** A mermaid flowchart: an arrow is "may import", a dotted one "may import types of". */
export function drawImports(table: ImportTable): string {
  const lines = ["```mermaid", "flowchart TD"];
  const rooms = Object.entries(table.rooms).filter(([name]) => !table.alwaysAllowed.includes(name));
  const listed = rooms.filter(([, room]) => Array.isArray(room.mayImport));
  for (const [name] of listed) lines.push(`  ${idOf(name)}["${name}"]`);
  for (const [name, room] of listed) {
    for (const other of room.mayImport) lines.push(`  ${idOf(name)} --> ${idOf(other)}`);
    for (const other of room.mayImportTypesOf ?? []) lines.push(`  ${idOf(name)} -.-> ${idOf(other)}`);
  }
  lines.push(
    "```",
    "",
    `Every room may also import ${table.alwaysAllowed.map((name) => `\`${name}\``).join(" and ")}.`,
  );
  for (const [name, room] of rooms)
    if (!Array.isArray(room.mayImport)) lines.push(`\`${name}\` may import ${room.mayImport}.`);
  return lines.join("\n");
}

function idOf(room: string): string {
  return room.replaceAll("/", "_");
}
