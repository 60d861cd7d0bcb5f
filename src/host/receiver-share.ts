/**
 * Several processes that come for one directory, of which one serves it and the others hand their streams to that one:
 * over ssh each connection of a synchronization is a process, and a directory is one process's.
 *
 *     TMP/ropewalk-UID/DEVICE-INODE.lock    flock of the one that serves
 *     TMP/ropewalk-UID/DEVICE-INODE.sock    where the others come to
 *
 * Always holds: the folder is this user's alone; the lock ends with its process, and only its holder replaces the
 * socket. Errors: PERMISSION_DENIED (somebody else's folder), TIMEOUT, IO_ERROR.
 */
import { chmod, type FileHandle, lstat, mkdir, open, stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RopewalkError } from "../base/errors.ts";
import { diskError, errnoName } from "./disk-error.ts";
import { linuxCalls } from "./linux-calls.ts";

const TRIES = 200;
const RETRY_MS = 25;

export type ReceiverShare =
  | { readonly role: "serves"; readonly socketPath: string; readonly lock: FileHandle }
  | { readonly role: "hands-on"; readonly socket: Socket };

/** `directory` exists. */
export async function shareReceiver(directory: string): Promise<ReceiverShare> {
  const { dev, ino } = await stat(directory, { bigint: true });
  const base = join(await ownFolder(), `${dev}-${ino}`);
  const socketPath = `${base}.sock`;
  for (let tried = 0; tried < TRIES; tried++) {
    const lock = await open(`${base}.lock`, "a", 0o600);
    const cause = linuxCalls.lockExclusive(lock.fd);
    if (cause === 0) return { role: "serves", socketPath, lock };
    await lock.close();
    if (errnoName(cause) !== "EAGAIN") throw diskError({ call: "flock", path: `${base}.lock`, cause });
    const socket = await connected(socketPath);
    if (socket !== undefined) return { role: "hands-on", socket };
    // It does not listen yet, or is about to end.
    await delay(RETRY_MS);
  }
  throw new RopewalkError(
    "TIMEOUT",
    `The process that serves ${directory} does not answer at ${socketPath}.`,
  );
}

/** Passes standard input on and the answers back, until either has ended. */
export async function handOn(socket: Socket): Promise<void> {
  const { stdin, stdout } = process;
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {});
  stdin.on("error", () => socket.destroy());
  stdout.on("error", () => socket.destroy());
  stdin.pipe(socket);
  socket.pipe(stdout);
  await ended;
  stdin.destroy();
}

async function ownFolder(): Promise<string> {
  const userId = process.getuid!();
  const folder = join(tmpdir(), `ropewalk-${userId}`);
  await mkdir(folder, { mode: 0o700 }).catch((cause: unknown) => {
    if (errnoName(cause) !== "EEXIST") throw diskError({ call: "mkdir", path: folder, cause });
  });
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== userId)
    throw new RopewalkError("PERMISSION_DENIED", `${folder} is not this user's; remove it, or set TMPDIR.`);
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700);
  return folder;
}

/** Undefined when nobody listens there. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    const failed = () => resolve(undefined);
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(socket);
    });
  });
}
