/** Synchronizations of directory trees as the API says them, and what requests about them may carry. */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { NAME_PATTERN } from "../../base/object-name.ts";
import {
  FILESYNC_BANDWIDTH_MAX,
  FILESYNC_BARRIERS,
  FILESYNC_DELETES,
  FILESYNC_EXCLUDES_MAX,
  FILESYNC_KEY_PATTERN,
  FILESYNC_MODES,
  FILESYNC_TARGETS_MAX,
  FILESYNC_THREADS_MAX,
  type FilesyncInfo,
  type FilesyncTargetInfo,
} from "../../control/mod.ts";
import type { ErrorJson } from "./error-json.ts";
import { NameSchema } from "./volume-json.ts";
import { WAIT_SECONDS_MAX } from "./work-json.ts";

const PATH_CHARACTERS_MAX = 4096;
const strict = { additionalProperties: false };
const count = (description: string) => Type.Integer({ description });
const choice = <Choice extends string>(choices: readonly Choice[], description: string) =>
  Type.Unsafe<Choice>({ type: "string", enum: [...choices], description });
/** Checked by its pattern, too, since what checks requests knows no `enum`. */
const givenChoice = <Choice extends string>(choices: readonly Choice[], description: string) =>
  Type.Optional(
    Type.Unsafe<Choice>(
      Type.String({ enum: [...choices], pattern: `^(${choices.join("|")})$`, description }),
    ),
  );

const Threads = { minimum: 1, maximum: FILESYNC_THREADS_MAX, description: "Connections to each target." };
const MODE_TEXT =
  "What a bulk looks at: full sends all bytes, incremental those that differ, attributes only files whose size, times, mode or owner differ.";
const DELETES_TEXT =
  "What becomes at the target of what is gone at the source: mirror removes it, keep keeps it, trash moves it to .ropewalk-trash.";
const BARRIER_TEXT =
  "Before which copies a change waits: tree for all under way, path only for those that it touches.";
const EXCLUDES_TEXT = "Patterns that are passed over: *.tmp, /cache, build/**/out.";
const BANDWIDTH_TEXT = "Limit of what is sent to each target, a second; 0 sets none.";

const BulkSchema = Type.Object(
  {
    filesDone: Type.Integer(),
    filesTotal: Type.Integer(),
    bytesDone: Type.Integer(),
    bytesTotal: Type.Integer(),
    bytesPerSecond: Type.Number(),
    secondsLeft: Type.Optional(Type.Number()),
  },
  { ...strict, description: "Of the bulk under way." },
);

const TargetFiguresSchema = Type.Object(
  {
    to: Type.String({ description: "A path, ropewalk://HOST:PORT/NAME or ssh://USER@HOST/PATH." }),
    state: choice(
      ["connecting", "bulk", "live", "paused", "waiting", "held"],
      "waiting: it cannot be reached.",
    ),
    connections: count("Open now."),
    lag: Type.Object(
      {
        seconds: Type.Number({ description: "Age of the oldest change that is not at the target." }),
        entries: count("Commands that wait."),
        bytes: count("Bytes that they are about to send."),
      },
      strict,
    ),
    bulk: Type.Optional(BulkSchema),
    sentBytes: Type.Integer(),
    copiedFiles: Type.Integer(),
    removed: Type.Integer(),
    tornReads: count("Files that changed during each try to read them: sent as read, and again behind it."),
    failures: count("Files that could not be brought over."),
    lastFailures: Type.Array(
      Type.Object({ path: Type.String(), errno: Type.String(), doing: Type.String() }, strict),
    ),
    error: Type.Optional(Type.Unsafe<ErrorJson>({ $ref: "Error#" })),
  },
  strict,
);

export const FilesyncSchema = Type.Object(
  {
    name: NameSchema,
    source: Type.String(),
    createdAt: Type.String({ format: "date-time" }),
    state: choice(
      ["starting", "bulk", "live", "paused", "waiting", "held", "source-missing", "failed"],
      "held: a bulk would remove more than the guard allows. source-missing: nothing is removed.",
    ),
    error: Type.Optional(Type.Unsafe<ErrorJson>({ $ref: "Error#" })),
    order: Type.Literal("per-file", {
      description:
        "Changes are noticed by inotify: in order for each file, and the tree is equal in the end.",
    }),
    targets: Type.Array(TargetFiguresSchema),
    events: count("Changes that were noticed."),
    overflows: count("Times that the kernel lost events; what they could concern was compared again."),
    rescans: count("Directories that were compared again."),
    watches: count("Directories that are watched."),
    threads: Type.Integer(Threads),
    mode: choice(FILESYNC_MODES, MODE_TEXT),
    deletes: choice(FILESYNC_DELETES, DELETES_TEXT),
    excludes: Type.Array(Type.String(), { description: EXCLUDES_TEXT }),
    barrier: choice(FILESYNC_BARRIERS, BARRIER_TEXT),
    bandwidthBytesPerSecond: count(BANDWIDTH_TEXT),
    wait: Type.Optional(
      Type.Object(
        {
          point: count("By which the wait is gone on with."),
          settled: Type.Boolean({ description: "The targets equal the source as of when the wait began." }),
        },
        strict,
      ),
    ),
  },
  { $id: "Filesync", ...strict },
);

export const AddFilesyncSchema = Type.Object(
  {
    name: NameSchema,
    source: Type.String({
      minLength: 1,
      maxLength: PATH_CHARACTERS_MAX,
      description: "Absolute path of a directory of the daemon's machine.",
    }),
    targets: Type.Array(
      Type.Object(
        {
          to: Type.String({
            minLength: 1,
            maxLength: 2 * PATH_CHARACTERS_MAX,
            description: "An absolute path, ropewalk://HOST:PORT/NAME or ssh://USER@HOST/PATH.",
          }),
          key: Type.Optional(
            Type.String({
              pattern: FILESYNC_KEY_PATTERN,
              description: "Of ropewalk://: as the target's daemon made it, 64 hexadecimal digits.",
            }),
          ),
        },
        strict,
      ),
      { minItems: 1, maxItems: FILESYNC_TARGETS_MAX },
    ),
    threads: Type.Optional(Type.Integer(Threads)),
    mode: givenChoice(FILESYNC_MODES, MODE_TEXT),
    deletes: givenChoice(FILESYNC_DELETES, DELETES_TEXT),
    excludes: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
        maxItems: FILESYNC_EXCLUDES_MAX,
        description: EXCLUDES_TEXT,
      }),
    ),
    barrier: givenChoice(FILESYNC_BARRIERS, BARRIER_TEXT),
    bandwidthBytesPerSecond: Type.Optional(
      Type.Integer({ minimum: 0, maximum: FILESYNC_BANDWIDTH_MAX, description: BANDWIDTH_TEXT }),
    ),
  },
  strict,
);

export const SyncFilesyncSchema = Type.Object(
  {
    mode: givenChoice(FILESYNC_MODES, MODE_TEXT),
    allowDeletes: Type.Optional(
      Type.Boolean({
        description: "Removes as much as it takes, whatever the guard against mass deletion says.",
      }),
    ),
    dryRun: Type.Optional(Type.Boolean({ description: "Changes nothing, and says what would be." })),
  },
  strict,
);

export const FilesyncSyncSchema = Type.Object(
  {
    copied: count("Files that were sent."),
    removed: Type.Integer(),
    bytes: count("Bytes of content that were sent."),
    dryRun: Type.Optional(
      Type.Array(
        Type.Object(
          { path: Type.String(), what: choice(["copy", "attributes", "remove"], "What would be done.") },
          strict,
        ),
        { description: "What a dry run would do; the first 10,000 of each target." },
      ),
    ),
  },
  { $id: "FilesyncSync", ...strict },
);

export const FilesyncVerificationSchema = Type.Object(
  {
    files: count("Files that were compared."),
    bytes: count("Bytes that were read and hashed on each side."),
    differences: Type.Integer(),
    different: Type.Array(
      Type.Object({ to: Type.String(), path: Type.String(), what: Type.String() }, strict),
      {
        description: "The first thousand.",
      },
    ),
  },
  { $id: "FilesyncVerification", ...strict },
);

export const ShowFilesyncQuerySchema = Type.Object(
  {
    wait: Type.Optional(
      Type.Boolean({ description: "Answer when the targets equal the source as of this request." }),
    ),
    waitSeconds: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: WAIT_SECONDS_MAX,
        description: "With wait: answer after this time at the latest; `wait` in the answer says more.",
      }),
    ),
    point: Type.Optional(
      Type.Integer({ minimum: 1, description: "With wait: go on with the wait that has this number." }),
    ),
  },
  strict,
);

export const FilesyncTargetSchema = Type.Object(
  { name: NameSchema, root: Type.String(), createdAt: Type.String({ format: "date-time" }) },
  { $id: "FilesyncTarget", ...strict },
);
export const MadeFilesyncTargetSchema = Type.Object(
  {
    ...FilesyncTargetSchema.properties,
    key: Type.String({ description: "For the source; it is shown only here." }),
  },
  { $id: "MadeFilesyncTarget", ...strict },
);
export const AddFilesyncTargetSchema = Type.Object(
  {
    name: NameSchema,
    root: Type.String({
      minLength: 1,
      maxLength: PATH_CHARACTERS_MAX,
      description: "Absolute path of a directory of the daemon's machine; made when absent.",
    }),
  },
  strict,
);

export const FilesyncParameters = Type.Object({ name: Type.String({ pattern: NAME_PATTERN }) }, strict);

/** A bulk or verification that was asked for. */
function callSchema<Result extends TSchema>($id: string, result: Result) {
  return Type.Object(
    {
      state: choice(["idle", "running", "done", "failed", "cancelled"], "idle: none was asked for."),
      startedAt: Type.Optional(Type.String({ format: "date-time" })),
      elapsedMs: Type.Optional(Type.Integer()),
      progress: Type.Optional(Type.Unsafe<FilesyncJson>({ $ref: "Filesync#" })),
      result: Type.Optional(result),
      error: Type.Optional(Type.Unsafe<ErrorJson>({ $ref: "Error#" })),
    },
    { $id, ...strict },
  );
}

export type FilesyncJson = Static<typeof FilesyncSchema>;
export type AddFilesyncJson = Static<typeof AddFilesyncSchema>;
export type SyncFilesyncJson = Static<typeof SyncFilesyncSchema>;
export type FilesyncSyncJson = Static<typeof FilesyncSyncSchema>;
export type FilesyncVerificationJson = Static<typeof FilesyncVerificationSchema>;
export type FilesyncTargetJson = Static<typeof FilesyncTargetSchema>;
export type MadeFilesyncTargetJson = Static<typeof MadeFilesyncTargetSchema>;
export type AddFilesyncTargetJson = Static<typeof AddFilesyncTargetSchema>;

export const FilesyncSyncWorkSchema = callSchema(
  "FilesyncSyncWork",
  Type.Unsafe<FilesyncSyncJson>({ $ref: "FilesyncSync#" }),
);
export const FilesyncVerificationWorkSchema = callSchema(
  "FilesyncVerificationWork",
  Type.Unsafe<FilesyncVerificationJson>({ $ref: "FilesyncVerification#" }),
);
export type FilesyncSyncWorkJson = Static<typeof FilesyncSyncWorkSchema>;
export type FilesyncVerificationWorkJson = Static<typeof FilesyncVerificationWorkSchema>;

export const filesyncSchemas = [
  FilesyncSchema,
  FilesyncSyncSchema,
  FilesyncVerificationSchema,
  FilesyncSyncWorkSchema,
  FilesyncVerificationWorkSchema,
  FilesyncTargetSchema,
  MadeFilesyncTargetSchema,
];

export function filesyncJson({ figures, createdAtMs, ...info }: FilesyncInfo): FilesyncJson {
  // What is undefined is left out when it is sent.
  return { ...info, ...figures, createdAt: new Date(createdAtMs).toISOString() } as FilesyncJson;
}

export function filesyncTargetJson<Target extends FilesyncTargetInfo>({ createdAtMs, ...target }: Target) {
  return { ...target, createdAt: new Date(createdAtMs).toISOString() };
}
