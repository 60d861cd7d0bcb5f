/** Names of the kernel's error numbers, and the numbers that the room asks for. */
import { constants } from "node:os";

export const {
  EPERM,
  ENOENT,
  EINTR,
  EAGAIN,
  EACCES,
  EEXIST,
  EXDEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  EMFILE,
  ENFILE,
  ENXIO,
  ERANGE,
} = constants.errno;
export const { ESTALE, E2BIG, ENOSPC, ENAMETOOLONG, ENOSYS, ENOTEMPTY, ELOOP, ENODATA, EOPNOTSUPP } =
  constants.errno;

/** Node does not name it. */
export const ENOTUNIQ = 76;

const names = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));
names.set(EAGAIN, "EAGAIN");
names.set(ENOTUNIQ, "ENOTUNIQ");
names.set(EOPNOTSUPP, "EOPNOTSUPP");

/** Of a call's result: `ENOENT` for -2. */
export function errnoName(result: number): string {
  return names.get(Math.abs(result)) ?? `errno ${Math.abs(result)}`;
}
