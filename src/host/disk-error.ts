/**
 * What the operating system says about a file, as a catalogued error.
 *
 * Always holds: the sentence names the call, the file and the errno, and says what to do where that is known;
 * Node's own error, when there is one, stays as the cause.
 */
import { getSystemErrorName } from "node:util";
import { type ErrorCode, RopewalkError } from "../base/errors.ts";

const ADVICE: Record<string, string> = {
  EIO: "the disk reported a failure; look at the kernel's log and the disk's health",
  ENOSPC: "no space is left on the file system; free some",
  EDQUOT: "the disk quota is used up; raise it or free space",
  EROFS: "the file system is read-only; mount it read-write",
  EACCES: "permission is denied; give the directory and its files to the user that runs the server",
  EPERM: "permission is denied; give the directory and its files to the user that runs the server",
  EMFILE: "the process has too many open files; raise its limit (ulimit -n)",
  ENFILE: "the system has too many open files; raise its limit (fs.file-max)",
};

export interface FailedCall {
  /** The system call's name. */
  readonly call: string;
  readonly path: string;
  /** Node's error or a negated errno. */
  readonly cause: unknown;
  /** Codes other than IO_ERROR, by errno name. */
  readonly codes?: Readonly<Record<string, ErrorCode>>;
}

/** Name of the errno behind a failure, or its number where Node knows no name; `UNKNOWN` when it is none. */
export function errnoName(cause: unknown): string {
  if (typeof cause === "number") {
    const name = getSystemErrorName(cause);
    return name.startsWith("E") ? name : `errno ${-cause}`;
  }
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : "UNKNOWN";
}

/** The failure as IO_ERROR, or as the code that `codes` gives to its errno. */
export function diskError({ call, path, cause, codes = {} }: FailedCall): RopewalkError {
  const name = errnoName(cause);
  const advice = ADVICE[name];
  const sentence = `${call} of ${path} failed with ${name}${advice === undefined ? "" : `: ${advice}`}.`;
  const code = Object.hasOwn(codes, name) ? codes[name]! : "IO_ERROR";
  return new RopewalkError(code, sentence, typeof cause === "number" ? undefined : { cause });
}
