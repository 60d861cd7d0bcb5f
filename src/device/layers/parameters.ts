/**
 * Parameters of layers: tables that say what there is, and the one strict place where values are read by them.
 *
 * Always holds: a parsed value has every parameter of its table, of the right type and in its range. Numbers of
 * bytes may be written as sizes (`10MiB`).
 * Errors: INVALID_CONFIG with the place of the value and what it should be.
 */
import { RopewalkError } from "../../base/errors.ts";
import { checkName, quoted } from "../../base/object-name.ts";
import { parseSize } from "../../base/size-text.ts";

interface NumberParameter {
  /** `size` is an integer that may also be written as `10MiB`. */
  readonly type: "integer" | "number" | "size";
  /** As the manual prints it: `ms`, `bytes`, `bytes/s`; empty for plain numbers. */
  readonly unit: string;
  readonly minimum: number;
  readonly maximum: number;
  readonly default: number;
}

interface ChoiceParameter {
  readonly type: "choice";
  readonly choices: readonly string[];
  readonly default: string;
}

/** A list of choices, each at most once. */
interface ChoicesParameter {
  readonly type: "choices";
  readonly choices: readonly string[];
  readonly default: readonly string[];
}

/** What something of the layer's is called, as snapshots are. */
interface NameParameter {
  readonly type: "name";
  readonly default: string;
}

/** A list of objects that have parameters of their own; empty by default. */
interface ListParameter {
  readonly type: "list";
  readonly of: Readonly<Record<string, NumberParameter | ChoiceParameter | ChoicesParameter>>;
  readonly lengthMax: number;
}

export type Parameter = NumberParameter | ChoiceParameter | ChoicesParameter | NameParameter | ListParameter;
export type ParameterTable = Readonly<Record<string, Parameter>>;

type Value<P extends Parameter> = P extends NumberParameter
  ? number
  : P extends ChoiceParameter
    ? P["choices"][number]
    : P extends ChoicesParameter
      ? readonly P["choices"][number][]
      : P extends NameParameter
        ? string
        : P extends ListParameter
          ? readonly Parameters<P["of"]>[]
          : never;

/** The values that a table describes. */
export type Parameters<Table extends ParameterTable> = { readonly [Name in keyof Table]: Value<Table[Name]> };

/** The same as a user writes it: what is left out has its default, sizes may be texts. */
export type GivenParameters<Table extends ParameterTable> = {
  readonly [Name in keyof Table]?: Table[Name] extends ListParameter
    ? readonly GivenParameters<Table[Name]["of"]>[]
    : Table[Name] extends { readonly type: "size" }
      ? number | string
      : Value<Table[Name]>;
};

/**
 * The values of `given` by `table`; what is not given comes from `rest`, or else from the defaults.
 * `where` names the place in messages. INVALID_CONFIG
 */
export function parseParameters<Table extends ParameterTable>(
  table: Table,
  given: unknown,
  { where, rest }: { where: string; rest?: Parameters<Table> },
): Parameters<Table> {
  const values = { ...asObject(given, where) };
  const known = Object.keys(table);
  for (const name of Object.keys(values)) {
    if (known.includes(name)) continue;
    throw invalid(where, `has no parameter ${quoted(name)}; it knows ${known.join(", ")}`);
  }
  return Object.fromEntries(
    known.map((name) => {
      const parameter = table[name]!;
      const value = values[name];
      if (value !== undefined) return [name, parseValue(parameter, value, `${where}.${name}`)];
      return [name, rest === undefined ? defaultOf(parameter) : rest[name]];
    }),
  ) as Parameters<Table>;
}

/** INVALID_CONFIG unless `value` is a plain object. */
export function asObject(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw invalid(where, "must be an object");
}

/** INVALID_CONFIG unless `value` is a list of at most `lengthMax`. */
export function asList(value: unknown, lengthMax: number, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalid(where, "must be a list");
  if (value.length > lengthMax)
    throw invalid(where, `has ${value.length} entries; at most ${lengthMax} are allowed`);
  return value;
}

export function invalid(where: string, sentence: string): RopewalkError {
  return new RopewalkError("INVALID_CONFIG", `${where} ${sentence}.`);
}

function defaultOf(parameter: Parameter): unknown {
  return parameter.type === "list" ? [] : parameter.default;
}

function parseValue(parameter: Parameter, value: unknown, where: string): unknown {
  switch (parameter.type) {
    case "integer":
    case "number":
    case "size":
      return parseNumber(parameter, value, where);
    case "choice":
      return parseChoice(parameter.choices, value, where);
    case "choices": {
      const list = asList(value, parameter.choices.length, where);
      const chosen = list.map((entry, index) => parseChoice(parameter.choices, entry, `${where}[${index}]`));
      if (new Set(chosen).size !== chosen.length) throw invalid(where, "names something twice");
      return chosen;
    }
    case "name":
      return parseName(value, where);
    case "list":
      return asList(value, parameter.lengthMax, where).map((entry, index) =>
        parseParameters(parameter.of, entry, { where: `${where}[${index}]` }),
      );
  }
}

function parseNumber(parameter: NumberParameter, value: unknown, where: string): number {
  const { type, unit, minimum, maximum } = parameter;
  const number = type === "size" && typeof value === "string" ? sizeOf(value, where) : value;
  const isRightType = typeof number === "number" && (type === "number" || Number.isInteger(number));
  if (isRightType && number >= minimum && number <= maximum) return number;
  const kind = type === "number" ? "a number" : "a whole number";
  const ofUnit = unit === "" ? "" : ` of ${unit}`;
  throw invalid(where, `must be ${kind}${ofUnit} from ${minimum} to ${maximum}`);
}

function sizeOf(text: string, where: string): number {
  try {
    return parseSize(text);
  } catch (cause) {
    throw new RopewalkError("INVALID_CONFIG", `${where}: ${(cause as Error).message}`, { cause });
  }
}

function parseChoice(choices: readonly string[], value: unknown, where: string): string {
  if (typeof value === "string" && choices.includes(value)) return value;
  throw invalid(where, `must be one of ${choices.join(", ")}`);
}

function parseName(value: unknown, where: string): string {
  if (typeof value !== "string") throw invalid(where, "must be a name");
  try {
    return checkName("snapshot", value);
  } catch (cause) {
    throw new RopewalkError("INVALID_CONFIG", `${where}: ${(cause as Error).message}`, { cause });
  }
}
