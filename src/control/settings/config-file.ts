/**
 * Reads a configuration file (YAML 1.2, so JSON too) into given settings.
 * Always holds: the text is checked wholly against the schema before anything of it is used.
 * Errors: INVALID_CONFIG with the file and the line.
 */
import { ValueErrorType } from "@sinclair/typebox/compiler";
import { Value, type ValueError } from "@sinclair/typebox/value";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { RopewalkError } from "../../base/errors.ts";
import { quoted } from "../../base/object-name.ts";
import { ConfigSchema } from "./config-schema.ts";
import type { GivenSetting, GivenSettings } from "./given-settings.ts";

const ALIASES_MAX = 100;
/** Sections that are read whole, since their keys are names or belong together. */
const WHOLE = ["volumes", "iscsi.targets", "iscsi.mutual"];

export function parseConfigFile({ path, text }: { path: string; text: string }): GivenSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2" });
  const at = (offset: number) => `${path}:${lines.linePos(offset).line}`;
  const syntaxError = document.errors[0] ?? document.warnings[0];
  if (syntaxError) throw invalid(at(syntaxError.pos[0]), syntaxError.message);

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX }) ?? {};
  } catch (cause) {
    throw invalid(path, (cause as Error).message);
  }
  const where = (keys: readonly string[]) => at(offsetOf(document, keys));
  const error = Value.Errors(ConfigSchema, value).First();
  if (error) throw invalid(where(keysOf(error.path)), sentenceOf(error));
  return flatten(value as object, where);
}

/** Sections become keys with points; lists and some sections stay whole. */
function flatten(config: object, where: (keys: readonly string[]) => string): GivenSettings {
  const given = new Map<string, GivenSetting>();
  const visit = (value: unknown, keys: string[]): void => {
    const isSection = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isSection && !WHOLE.includes(keys.join("."))) {
      for (const [key, below] of Object.entries(value)) visit(below, [...keys, key]);
    } else given.set(keys.join("."), { value, where: where(keys) });
  };
  for (const [key, value] of Object.entries(config)) visit(value, [key]);
  return given;
}

/** Where the key of a value stands in the text; as near as can be found. */
function offsetOf(document: Document, keys: readonly string[]): number {
  for (let depth = keys.length; depth > 0; depth--) {
    const parent = depth === 1 ? document.contents : document.getIn(keys.slice(0, depth - 1), true);
    const last = keys[depth - 1]!;
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => isScalar(key) && String(key.value) === last)
      : undefined;
    if (isNode(pair?.key) && pair.key.range) return pair.key.range[0];
    const node = document.getIn(keys.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

/** JSON pointer to keys. */
function keysOf(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function sentenceOf({ type, path, message, schema }: ValueError): string {
  const name = quoted(keysOf(path).join("."));
  if (path === "") return "the file must hold keys and values";
  if (type === ValueErrorType.ObjectAdditionalProperties) return `${name} is not a setting`;
  if (type === ValueErrorType.ObjectRequiredProperty) return `${name} is missing`;
  const literals = (schema as { anyOf?: { const?: unknown }[] }).anyOf?.map((choice) => choice.const);
  if (literals?.every((literal) => literal !== undefined))
    return `${name} must be one of ${literals.join(", ")}`;
  if (type === ValueErrorType.Union) return `${name} must be a number of bytes or a size such as 100GiB`;
  const choices = (schema as { enum?: string[] }).enum;
  if (choices) return `${name} must be one of ${choices.join(", ")}`;
  return `${name} is not valid: ${message.toLowerCase()}`;
}

function invalid(where: string, sentence: string): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", `${where}: ${sentence}.`);
}
