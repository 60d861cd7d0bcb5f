/**
 * Reads single settings out of all sources: the strongest that gives one counts.
 * Always holds: a refusal says where the value stands. Errors: INVALID_CONFIG.
 */
import { RopewalkError } from "../../base/errors.ts";
import { parseSize } from "../../base/size-text.ts";
import type { GivenSetting, GivenSettings } from "./given-settings.ts";
import type { TlsFileNames } from "./settings.ts";

export class SettingsReader {
  readonly #sources: readonly GivenSettings[];

  constructor(sources: readonly GivenSettings[]) {
    this.#sources = sources;
  }

  text<Value>(key: string, parse: (text: string) => Value): Value | undefined {
    return this.value(key, (value) => {
      if (typeof value !== "string") throw new Error("it must be a text");
      return parse(value);
    });
  }

  texts<Value>(key: string, parse: (text: string) => Value): Value[] | undefined {
    return this.value(key, (value) => (value as string[]).map(parse));
  }

  boolean(key: string): boolean | undefined {
    return this.value(key, (value) => value === true);
  }

  number(key: string, { minimum, maximum }: { minimum: number; maximum: number }): number | undefined {
    return this.value(key, (value) => {
      if (typeof value === "number" && value >= minimum && value <= maximum) return value;
      throw new Error(`it must be a number from ${minimum} to ${maximum}`);
    });
  }

  size(key: string): number | undefined {
    return this.value(key, (value) => (typeof value === "number" ? value : parseSize(String(value))));
  }

  tls(key: string): TlsFileNames | undefined {
    const certificate = this.text(`${key}.certificate`, notEmpty);
    const keyFile = this.text(`${key}.key`, notEmpty);
    const clientAuthority = this.text(`${key}.clientAuthority`, notEmpty);
    if (certificate === undefined && keyFile === undefined && clientAuthority === undefined) return undefined;
    if (certificate === undefined || keyFile === undefined)
      throw new RopewalkError("INVALID_CONFIG", `${key} needs both certificate and key.`);
    return { certificate, key: keyFile, ...(clientAuthority === undefined ? {} : { clientAuthority }) };
  }

  layers(): ReadonlyMap<string, { readonly description: unknown; readonly where: string }> {
    const found = this.#find("volumes");
    if (!found) return new Map();
    const volumes = Object.entries(found.value as Record<string, { layers: unknown }>);
    return new Map(
      volumes.map(([name, { layers }]) => [name, { description: layers, where: found.where }] as const),
    );
  }

  /** Where a setting stands, for messages; undefined when it is not given. */
  placeOf(key: string): string | undefined {
    return this.#find(key)?.where;
  }

  /** A setting of a form of its own; what `parse` throws is said with the place. */
  value<Value>(key: string, parse: (value: unknown, where: string) => Value): Value | undefined {
    const found = this.#find(key);
    if (!found) return undefined;
    try {
      return parse(found.value, found.where);
    } catch (cause) {
      if (cause instanceof RopewalkError && cause.message.startsWith(found.where)) throw cause;
      throw new RopewalkError("INVALID_CONFIG", `${found.where}: ${(cause as Error).message}`, { cause });
    }
  }

  #find(key: string): GivenSetting | undefined {
    return this.#sources.find((source) => source.has(key))?.get(key);
  }
}

export function notEmpty(text: string): string {
  if (text !== "") return text;
  throw new Error("it must not be empty.");
}
