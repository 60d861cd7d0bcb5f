// docs/openapi.json against the document that the HTTP front end generates from its routes.
// src/frontend/http/mod.ts exports `openApiDocument()`; until that room exists there is nothing to compare.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Check } from "./check.ts";

export const openApiFile = "docs/openapi.json";

export const openApiCheck: Check = {
  name: "OpenAPI",
  run: async (root) => {
    const generated = await generateOpenApi(root);
    if (generated === undefined) return [];
    const file = join(root, openApiFile);
    if (!existsSync(file)) return [`${openApiFile} is missing; run npm run generate`];
    return compareOpenApi(generated, JSON.parse(readFileSync(file, "utf8")));
  },
};

/** What the routes say, as plain JSON, or undefined where there is no HTTP front end. */
export async function generateOpenApi(root: string): Promise<unknown> {
  const door = join(root, "src/frontend/http/mod.ts");
  if (!existsSync(door)) return undefined;
  const module = (await import(door)) as { openApiDocument?: () => unknown };
  if (!module.openApiDocument) throw new Error("src/frontend/http/mod.ts exports no openApiDocument()");
  return JSON.parse(JSON.stringify(await module.openApiDocument())) as unknown;
}

/** The innermost places where the two differ, at most ten. */
export function compareOpenApi(generated: unknown, written: unknown): string[] {
  const places = differences(generated, written, "#");
  if (places.length === 0) return [];
  const shown = places.slice(0, 10).map((place) => `${openApiFile}: differs from the routes at ${place}`);
  return [...shown, "npm run generate writes it anew"];
}

function differences(a: unknown, b: unknown, place: string): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return [place];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differences(a[key], b[key], `${place}/${key}`));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
