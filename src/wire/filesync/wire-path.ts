/**
 * What paths and names may stand on the wire.
 *
 * Always holds: a path that passes names something below the root, whatever the machine at the other end: no empty
 * name, no `.` and `..`, no NUL, nothing absolute. Only the kernel can say that no symbolic link is on the way.
 */
import { NAME_BYTES_MAX, OWN_PREFIX, PATH_BYTES_MAX } from "./constants.ts";

/** An empty name, `.` or `..` anywhere in a path; NUL; characters that are no bytes. */
const WRONG_IN_PATH = /(?:^|\/)\.{0,2}(?:\/|$)|[\0\u0100-\uffff]/;

/** A path of something below the root (not the root, which is empty). */
export function isWirePath(path: string): boolean {
  if (path.length > PATH_BYTES_MAX || WRONG_IN_PATH.test(path)) return false;
  return path.length <= NAME_BYTES_MAX || path.split("/").every((name) => name.length <= NAME_BYTES_MAX);
}

/** One name of a directory's entry. */
export function isWireName(name: string): boolean {
  return name.length <= NAME_BYTES_MAX && !WRONG_IN_PATH.test(name) && !name.includes("/");
}

/** Whether any name in the path is one of Ropewalk's own. */
export function isOwnPath(path: string): boolean {
  return path.startsWith(OWN_PREFIX) || path.includes(`/${OWN_PREFIX}`);
}

/** What a symbolic link may say: any bytes but NUL. */
export function isLinkTarget(target: string): boolean {
  return target.length > 0 && !/[\0\u0100-\uffff]/.test(target);
}
