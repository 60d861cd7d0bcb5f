/**
 * What stands at a path, and how it is called without symbolic links; where its end is missing, as far as it goes.
 * Errors: PERMISSION_DENIED, IO_ERROR.
 */
import { lstat, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { diskError, errnoName } from "./disk-error.ts";

export interface LookedAtPath {
  readonly path: string;
  readonly kind: "directory" | "absent" | "other";
}

export async function lookAtPath(given: string): Promise<LookedAtPath> {
  const asked = resolve(given);
  const missing: string[] = [];
  for (let path = asked; ; path = dirname(path)) {
    try {
      const real = await realpath(path);
      const isDirectory = (await stat(real)).isDirectory();
      if (missing.length === 0) return { path: real, kind: isDirectory ? "directory" : "other" };
      return { path: join(real, ...missing), kind: isDirectory ? "absent" : "other" };
    } catch (cause) {
      const name = errnoName(cause);
      // A link that leads nowhere, or in a circle, is something; so is what stands in a file's place.
      if (name === "ENOTDIR" || name === "ELOOP" || (name === "ENOENT" && (await isThere(path))))
        return { path: asked, kind: "other" };
      if (name !== "ENOENT" || path === dirname(path))
        throw diskError({ call: "realpath", path, cause, codes: { EACCES: "PERMISSION_DENIED" } });
      missing.unshift(basename(path));
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
