/**
 * The file that keeps a stack's description: JSON, strict.
 * Always holds: what was parsed has all fields and none besides; the description itself is checked when it is built.
 * Errors: INVALID_CONFIG.
 */
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { RopewalkError } from "../base/errors.ts";

const VERSION = 1;

const StackFileSchema = Type.Object(
  {
    version: Type.Literal(VERSION),
    uuid: Type.String({ pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" }),
    createdAtMs: Type.Integer({ minimum: 0 }),
    sizeBytes: Type.Integer({ minimum: 0 }),
    description: Type.Object({}, { additionalProperties: true }),
  },
  { additionalProperties: false },
);

export interface StackFile {
  readonly uuid: string;
  readonly createdAtMs: number;
  /** When it was made. */
  readonly sizeBytes: number;
  readonly description: unknown;
}

export function parseStackFile(name: string, text: string): StackFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(name, (cause as Error).message, cause);
  }
  const error = Value.Errors(StackFileSchema, value).First();
  if (error) throw damaged(name, `${error.path || "/"}: ${error.message}`);
  const { version: _version, ...file } = value as StackFile & { version: number };
  return file;
}

export function formatStackFile(file: StackFile): string {
  return `${JSON.stringify({ version: VERSION, ...file }, null, 2)}\n`;
}

function damaged(name: string, reason: string, cause?: unknown): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", `stacks/${name}.json is not valid: ${reason}.`, { cause });
}
