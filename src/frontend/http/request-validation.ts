/**
 * Checks every part of a request against its schema, and says in one sentence what is wrong with it.
 *
 * Always holds: what passed has exactly the schema's shape, unknown fields are refused; only what comes as text
 * (path, query, headers) is converted. A name or size that is refused has its own code; all else is
 * INVALID_ARGUMENT.
 */
import type { TSchema } from "@sinclair/typebox";
import { TypeCompiler, ValueErrorType } from "@sinclair/typebox/compiler";
import { Value } from "@sinclair/typebox/value";
import type { FastifySchemaCompiler } from "fastify";
import { type ErrorCode, RopewalkError } from "../../base/errors.ts";
import { checkName, checkVolumeSize, quoted } from "../../base/object-name.ts";

const PART_NAMES: Record<string, string> = {
  body: "the body",
  params: "the path",
  querystring: "the query",
  headers: "the headers",
};

/** Fields whose values have a code of their own when they break their limits. */
const CODES: Record<string, ErrorCode> = {
  sizeBytes: "INVALID_SIZE",
  offsetBytes: "INVALID_RANGE",
  lengthBytes: "INVALID_RANGE",
  toOffsetBytes: "INVALID_RANGE",
  tokenOffsetBytes: "INVALID_RANGE",
};
const NAME_FIELDS = ["name", "volume", "snapshot", "from", "to"];

export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = "body" }) => {
  const compiled = TypeCompiler.Compile(schema);
  return (given: unknown) => {
    // No body at all is the empty one, so that it misses what the schema requires.
    const value = httpPart === "body" ? (given ?? {}) : Value.Convert(schema, given);
    if (compiled.Check(value)) return { value };
    const first = compiled.Errors(value).First();
    return { error: first ? refusal(httpPart, first) : new RopewalkError("INVALID_ARGUMENT", "Not valid.") };
  };
};

interface FoundError {
  readonly type: ValueErrorType;
  readonly path: string;
  readonly value: unknown;
  readonly message: string;
}

function refusal(httpPart: string, { type, path, value, message }: FoundError): RopewalkError {
  const where = PART_NAMES[httpPart] ?? httpPart;
  const field = path.slice(path.lastIndexOf("/") + 1);
  const place = field === "" ? where : `${quoted(field)} in ${where}`;
  if (type === ValueErrorType.ObjectRequiredProperty)
    return new RopewalkError("INVALID_ARGUMENT", `${place} is missing.`);
  if (type === ValueErrorType.ObjectAdditionalProperties)
    return new RopewalkError("INVALID_ARGUMENT", `${place} is not known.`);
  return (
    refusalByRule(field, value) ??
    new RopewalkError(codeOf(field, value), `${place} is not valid: ${message.toLowerCase()}.`)
  );
}

/** The sentence of the rule itself, where the field has one. */
function refusalByRule(field: string, value: unknown): RopewalkError | undefined {
  try {
    if (NAME_FIELDS.includes(field) && typeof value === "string")
      checkName(field === "snapshot" ? "snapshot" : "volume or snapshot", value);
    if (field === "sizeBytes" && typeof value === "number") checkVolumeSize(value);
  } catch (error) {
    return error as RopewalkError;
  }
  return undefined;
}

function codeOf(field: string, value: unknown): ErrorCode {
  return typeof value === "number" ? (CODES[field] ?? "INVALID_ARGUMENT") : "INVALID_ARGUMENT";
}
