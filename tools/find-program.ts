// Looks a program up the way a shell does, and in the sbin folders that a plain user's PATH lacks.
import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

/** The path of an executable file of that name, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
