/**
 * What somebody wants synchronized, checked against everything that is there already, as the definition that it becomes.
 * Errors: INVALID_ARGUMENT, INVALID_NAME, SOURCE_MISSING, TARGET_IN_USE.
 */
import { RopewalkError } from "../base/errors.ts";
import { quoted } from "../base/object-name.ts";
import { compileExcludes, excludeTest } from "../filesync/mod.ts";
import {
  FILESYNC_BANDWIDTH_MAX,
  FILESYNC_TARGETS_MAX,
  FILESYNC_THREADS_DEFAULT,
  FILESYNC_THREADS_MAX,
  type FilesyncDefinition,
} from "./filesync-definition.ts";
import { absolutePath, type FilesyncDestination, parseDestination } from "./filesync-destination.ts";
import { parseFilesyncKey } from "./filesync-key.ts";
import {
  checkApart,
  checkFree,
  checkNoCircle,
  isInside,
  lookAtSource,
  lookAtTarget,
  overlaps,
  type WrittenRoot,
} from "./filesync-roots.ts";
import type { FilesyncWorld } from "./filesync-world.ts";

const ID_BYTES = 16;

type Given = Pick<FilesyncDefinition, "threads" | "mode" | "deletes" | "barrier" | "bandwidthBytesPerSecond">;

export interface FilesyncWish extends Partial<Given> {
  readonly name: string;
  /** An absolute path of a directory. */
  readonly source: string;
  /** Each a path, `ropewalk://HOST:PORT/NAME` with the key that the target's daemon made for it, or `ssh://USER@HOST/PATH`. */
  readonly targets: readonly { readonly to: string; readonly key?: string | undefined }[];
  readonly excludes?: readonly string[];
}

export interface CheckedWish {
  readonly definition: FilesyncDefinition;
  /** Directories of this machine that are to be made. */
  readonly absent: readonly string[];
}

/** What is written to already: directories of this machine, and targets of synchronizations elsewhere. */
export interface Taken {
  readonly written: readonly WrittenRoot[];
  readonly elsewhere: readonly { readonly owner: string; readonly destination: FilesyncDestination }[];
}

export async function checkedDefinition(
  wish: FilesyncWish,
  world: Pick<FilesyncWorld, "machine" | "clock" | "random" | "dataDirectory">,
  { written, elsewhere }: Taken,
): Promise<CheckedWish> {
  const { clock, random } = world;
  checkNumbers(wish);
  const excludes = [...(wish.excludes ?? [])];
  const isExcluded = excludeTest(compileExcludes(excludes));
  const targets = wish.targets.map(({ to, key }) => withKey(parseDestination(to), key));
  for (const [index, { destination }] of targets.entries())
    checkDistinct(destination, [
      ...elsewhere,
      ...targets.slice(0, index).map((before) => ({ owner: "this synchronization itself", ...before })),
    ]);

  const { lookAt } = world.machine;
  const source = absolutePath("source", wish.source);
  const realSource = await lookAtSource(lookAt, source);
  const { path: data } = await lookAt(world.dataDirectory);
  checkNotOwn({ source: realSource, data }, isExcluded);

  const own: WrittenRoot[] = [];
  const absent: string[] = [];
  for (const { destination } of targets) {
    if (destination.kind !== "local") continue;
    const { path, kind } = await lookAtTarget(lookAt, destination.path);
    checkApart(realSource, path);
    checkFree(path, { written: [...written, ...own], data });
    checkNoCircle({ source: realSource, target: path }, written);
    own.push({ owner: "this synchronization itself", source: realSource, path });
    if (kind === "absent") absent.push(destination.path);
  }
  const definition: FilesyncDefinition = {
    id: Buffer.from(random.bytes(ID_BYTES)).toString("hex"),
    createdAtMs: clock.wallMs(),
    source,
    targets: targets.map(({ destination: { to }, key }) => ({ to, ...(key === undefined ? {} : { key }) })),
    threads: wish.threads ?? FILESYNC_THREADS_DEFAULT,
    mode: wish.mode ?? "attributes",
    deletes: wish.deletes ?? "mirror",
    excludes,
    barrier: wish.barrier ?? "tree",
    bandwidthBytesPerSecond: wish.bandwidthBytesPerSecond ?? 0,
    isPaused: false,
  };
  return { definition, absent };
}

function checkNumbers({ threads, targets, bandwidthBytesPerSecond }: FilesyncWish): void {
  const refuse = (sentence: string): never => {
    throw new RopewalkError("INVALID_ARGUMENT", sentence);
  };
  const isWhole = (value: number | undefined, minimum: number, maximum: number) =>
    value === undefined || (Number.isInteger(value) && value >= minimum && value <= maximum);
  if (!isWhole(threads, 1, FILESYNC_THREADS_MAX))
    refuse(`A synchronization has 1 to ${FILESYNC_THREADS_MAX} threads, not ${threads}.`);
  if (!isWhole(bandwidthBytesPerSecond, 0, FILESYNC_BANDWIDTH_MAX))
    refuse(`A bandwidth is 0 to ${FILESYNC_BANDWIDTH_MAX} bytes a second; 0 sets no limit.`);
  if (targets.length === 0 || targets.length > FILESYNC_TARGETS_MAX)
    refuse(`A synchronization has 1 to ${FILESYNC_TARGETS_MAX} targets, not ${targets.length}.`);
}

function withKey(
  destination: FilesyncDestination,
  key: string | undefined,
): { destination: FilesyncDestination; key: string | undefined } {
  if (destination.kind === "ropewalk" && key === undefined)
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `${destination.to} needs its key: give --key FILE with what ropewalk filesync target add made at the target.`,
    );
  if (destination.kind !== "ropewalk" && key !== undefined)
    throw new RopewalkError("INVALID_ARGUMENT", `${quoted(destination.to)} takes no key; leave it out.`);
  if (key !== undefined) parseFilesyncKey(key);
  return { destination, key };
}

/** A target elsewhere is no other's, nor inside another's. */
function checkDistinct(destination: FilesyncDestination, others: Taken["elsewhere"]): void {
  const taken = others.find((other) => isSamePlace(other.destination, destination));
  if (taken === undefined) return;
  throw new RopewalkError(
    "TARGET_IN_USE",
    `The target ${quoted(destination.to)} is taken: ${taken.owner} writes to ${quoted(taken.destination.to)}; each needs a root of its own.`,
  );
}

function isSamePlace(one: FilesyncDestination, other: FilesyncDestination): boolean {
  if (one.kind === "ropewalk") return other.kind === "ropewalk" && one.to === other.to;
  if (one.kind === "ssh")
    return (
      other.kind === "ssh" &&
      one.host === other.host &&
      (one.port ?? 22) === (other.port ?? 22) &&
      overlaps(one.path, other.path)
    );
  // Paths of this machine are compared without their symbolic links, later.
  return false;
}

/** The daemon's own files change with every change that is replicated, which would never end. */
function checkNotOwn(
  { source, data }: { source: string; data: string },
  isExcluded: (path: string) => boolean,
): void {
  if (isInside(source, data))
    throw new RopewalkError(
      "INVALID_ARGUMENT",
      `The source ${quoted(source)} lies in the daemon's data directory; choose another one.`,
    );
  if (!isInside(data, source)) return;
  const inside = data.slice(source === "/" ? 1 : source.length + 1);
  if (isExcluded(Buffer.from(inside).toString("latin1"))) return;
  throw new RopewalkError(
    "INVALID_ARGUMENT",
    `The daemon's data directory lies in the source; leave it out with --exclude ${quoted(`/${inside}`)}.`,
  );
}
