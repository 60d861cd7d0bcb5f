// Verifies that every room imports only what import-table.json allows, through the public doors, and that
// nothing outside src/host touches the machine (files, sockets, timers, clock, chance), because the simulator
// must be able to stand in for all of it. Unit tests beside the code may use what test/ may.
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import type { Check } from "./check.ts";
import { findImports, type Import } from "./find-imports.ts";
import { type ImportTable, mayImport, readImportTable, roomOf } from "./import-table.ts";
import { projectFiles } from "./project-files.ts";
import { lineAt, maskSource } from "./source-text.ts";

export const importsCheck: Check = { name: "imports", run: checkImports };

/** Clock, chance and timers that need no import. */
const ambient =
  /(?<![.\w$]|function )(?:globalThis\.)?(Date\.now|new Date\(\s*\)|Math\.random|setTimeout\(|setInterval\(|setImmediate\(|process\.hrtime|performance\.|AbortSignal\.timeout|crypto\.(?:randomUUID|getRandomValues))/g;

export function checkImports(root: string, table: ImportTable = readImportTable()): string[] {
  const installed = declaredPackages(root);
  return projectFiles(root, "src", "sim", "bench", "test", "web", "tools")
    .filter((file) => /\.ts$/.test(file))
    .flatMap((file) => checkFile({ file, text: readFileSync(join(root, file), "utf8"), table, installed }));
}

interface FileToCheck {
  file: string;
  text: string;
  table: ImportTable;
  installed: { runtime: Set<string>; development: Set<string> };
}

function checkFile({ file, text, table, installed }: FileToCheck): string[] {
  const room = roomOf(table, file);
  if (!room) return [`${file}: belongs to no room of the import table`];
  const isTest = file.endsWith(".test.ts");
  const free = isTest || table.rooms[room]!.touchesTheMachine === true;
  const masked = maskSource(text);
  const problems: string[] = [];
  const report = (position: number, sentence: string) =>
    problems.push(`${file}:${lineAt(text, position)}: ${sentence}`);

  for (const found of findImports(text, masked)) {
    const { specifier } = found;
    let problem: string | undefined;
    if (specifier === undefined) problem = free ? undefined : "imports a computed path";
    else if (specifier.startsWith("."))
      problem = relativeProblem({ table, file, room, isTest, found, specifier });
    else if (specifier.startsWith("node:"))
      problem = free ? undefined : builtinProblem(table, found, specifier);
    else if (builtinModules.includes(specifier)) problem = `imports "${specifier}" without its node: prefix`;
    else
      problem = packageProblem({
        table,
        room,
        specifier,
        installed,
        isShipped: file.startsWith("src/") && !isTest,
      });
    if (problem) report(found.position, problem);
  }
  if (!free)
    for (const match of masked.matchAll(ambient))
      report(match.index, `uses ${match[1]!.replace(/[(.]$/, "")}; only src/host may, others take a port`);
  return problems;
}

interface RelativeImport {
  table: ImportTable;
  file: string;
  room: string;
  isTest: boolean;
  found: Import;
  specifier: string;
}

function relativeProblem({
  table,
  file,
  room,
  isTest,
  found,
  specifier,
}: RelativeImport): string | undefined {
  const target = normalize(join(dirname(file), specifier));
  if (target === "package.json") return undefined;
  const targetRoom = roomOf(table, target);
  if (!targetRoom) return `imports ${target}, which belongs to no room`;
  if (targetRoom === room || table.alwaysAllowed.includes(targetRoom)) return undefined;
  const entry = table.rooms[targetRoom]!;
  if (isTest && mayImport(table, "test", targetRoom)) {
    if (!entry.folder.startsWith("src/")) return undefined;
  } else if (!mayImport(table, room, targetRoom)) {
    const onlyTypes = table.rooms[room]!.mayImportTypesOf?.includes(targetRoom) === true;
    if (!onlyTypes) return `${room} may not import ${targetRoom} (${target})`;
    if (!found.typeOnly) return `${room} may import only types of ${targetRoom} (${target}): use import type`;
  }
  if (!entry.folder.startsWith("src/")) return undefined;
  if (target === entry.folder) return undefined;
  const doors = ["mod.ts", ...(entry.doors ?? [])].map((door) => `${entry.folder}/${door}`);
  return doors.includes(target)
    ? undefined
    : `reaches past the door of ${targetRoom}: import ${doors[0]}, not ${target}`;
}

function builtinProblem(table: ImportTable, found: Import, specifier: string): string | undefined {
  const allowed = table.builtinsAllowedEverywhere[specifier];
  if (allowed === "all" || found.typeOnly) return undefined;
  if (!allowed) return `imports ${specifier}; only src/host may, others take a port`;
  const foreign = found.names.filter((name) => !allowed.includes(name));
  if (foreign.length === 0) return undefined;
  return `imports ${foreign.join(", ")} of ${specifier}; outside src/host only ${allowed.join(", ")}`;
}

interface PackageImport {
  table: ImportTable;
  room: string;
  specifier: string;
  installed: FileToCheck["installed"];
  isShipped: boolean;
}

function packageProblem({ table, room, specifier, installed, isShipped }: PackageImport): string | undefined {
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (!installed.runtime.has(name) && (isShipped || !installed.development.has(name)))
    return `imports ${name}, which is not among the ${isShipped ? "" : "dev"}dependencies of package.json`;
  const rooms = table.packagesKeptToRooms[name];
  if (!rooms || !isShipped || rooms.includes(room)) return undefined;
  return `imports ${name}, which only ${rooms.join(" and ")} may`;
}

function declaredPackages(root: string): FileToCheck["installed"] {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
    string,
    object | undefined
  >;
  return {
    runtime: new Set(Object.keys(manifest["dependencies"] ?? {})),
    development: new Set(Object.keys(manifest["devDependencies"] ?? {})),
  };
}
