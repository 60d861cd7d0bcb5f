/** Paths of a tree: names joined by `/`, one character for each byte; the root is empty. */
import type { TreePath } from "../ports/mod.ts";

export function joinPath(directory: TreePath, name: string): TreePath {
  return directory === "" ? name : `${directory}/${name}`;
}

/** The directory that holds it; the root's is the root. */
export function parentPath(path: TreePath): TreePath {
  const at = path.lastIndexOf("/");
  return at < 0 ? "" : path.slice(0, at);
}

export function lastName(path: TreePath): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Whether `path` is `directory` or stands below it. */
export function isWithin(path: TreePath, directory: TreePath): boolean {
  return (
    directory === "" ||
    path === directory ||
    (path.length > directory.length && path.startsWith(directory) && path[directory.length] === "/")
  );
}

/** `path`, which stands within `from`, as it is called when `from` is called `to`. */
export function movedPath(path: TreePath, from: TreePath, to: TreePath): TreePath {
  if (path === from) return to;
  const rest = from === "" ? path : path.slice(from.length + 1);
  return joinPath(to, rest);
}

/** For people: the bytes as UTF-8. */
export function shownPath(path: TreePath): string {
  return path === "" ? "." : Buffer.from(path, "latin1").toString("utf8");
}
