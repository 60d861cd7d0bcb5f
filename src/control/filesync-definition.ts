/**
 * What a synchronization is, as it is kept: JSON, strict.
 * Always holds: what was parsed has all fields and none besides, each within its limits; keys are in it, so whoever
 * keeps it lets nobody else read it. Errors: INVALID_CONFIG.
 */
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { RopewalkError } from "../base/errors.ts";
import { PATH_CHARACTERS_MAX } from "./filesync-destination.ts";
import { FILESYNC_KEY_PATTERN } from "./filesync-key.ts";

const VERSION = 1;
export const FILESYNC_THREADS_MAX = 16;
export const FILESYNC_THREADS_DEFAULT = 4;
export const FILESYNC_TARGETS_MAX = 16;
export const FILESYNC_EXCLUDES_MAX = 256;
export const FILESYNC_MODES = ["full", "incremental", "attributes"] as const;
export const FILESYNC_DELETES = ["mirror", "keep", "trash"] as const;
export const FILESYNC_BARRIERS = ["tree", "path"] as const;
/** 1 TB a second; more is no limit. */
export const FILESYNC_BANDWIDTH_MAX = 1e12;

const strict = { additionalProperties: false };
const oneOf = <Choice extends string>(choices: readonly Choice[]) =>
  Type.Union(choices.map((choice) => Type.Literal(choice)));
const Path = Type.String({ pattern: "^/", maxLength: PATH_CHARACTERS_MAX });

const DefinitionSchema = Type.Object(
  {
    id: Type.String({ pattern: "^[0-9a-f]{32}$" }),
    createdAtMs: Type.Integer({ minimum: 0 }),
    source: Path,
    targets: Type.Array(
      Type.Object(
        {
          to: Type.String({ minLength: 1, maxLength: 2 * PATH_CHARACTERS_MAX }),
          key: Type.Optional(Type.String({ pattern: FILESYNC_KEY_PATTERN })),
        },
        strict,
      ),
      { minItems: 1, maxItems: FILESYNC_TARGETS_MAX },
    ),
    threads: Type.Integer({ minimum: 1, maximum: FILESYNC_THREADS_MAX }),
    mode: oneOf(FILESYNC_MODES),
    deletes: oneOf(FILESYNC_DELETES),
    excludes: Type.Array(Type.String({ minLength: 1 }), { maxItems: FILESYNC_EXCLUDES_MAX }),
    barrier: oneOf(FILESYNC_BARRIERS),
    bandwidthBytesPerSecond: Type.Integer({ minimum: 0, maximum: FILESYNC_BANDWIDTH_MAX }),
    isPaused: Type.Boolean(),
  },
  strict,
);

export type FilesyncDefinition = Static<typeof DefinitionSchema>;

/** A root that other daemons' synchronizations may write to. */
const TargetSchema = Type.Object(
  {
    createdAtMs: Type.Integer({ minimum: 0 }),
    root: Path,
    key: Type.String({ pattern: FILESYNC_KEY_PATTERN }),
  },
  strict,
);

export type FilesyncTargetDefinition = Static<typeof TargetSchema>;

export function parseFilesyncDefinition(name: string, text: string): FilesyncDefinition {
  return parse(`filesync/${name}.json`, text, DefinitionSchema);
}

export function parseFilesyncTarget(name: string, text: string): FilesyncTargetDefinition {
  return parse(`filesync-targets/${name}.json`, text, TargetSchema);
}

export function formatDefinition(definition: FilesyncDefinition | FilesyncTargetDefinition): string {
  return `${JSON.stringify({ version: VERSION, ...definition }, null, 2)}\n`;
}

function parse<Schema extends TSchema>(file: string, text: string, schema: Schema): Static<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(file, (cause as Error).message, cause);
  }
  const { version, ...rest } = (typeof value === "object" && value !== null ? value : {}) as {
    version?: unknown;
  };
  if (version !== VERSION) throw damaged(file, `its version is not ${VERSION}`);
  const error = Value.Errors(schema, rest).First();
  if (error) throw damaged(file, `${error.path || "/"}: ${error.message}`);
  return rest as Static<Schema>;
}

function damaged(file: string, reason: string, cause?: unknown): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", `${file} is not valid: ${reason}.`, { cause });
}
