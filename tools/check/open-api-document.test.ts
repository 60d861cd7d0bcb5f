// docs/openapi.json and the routes cannot drift apart unnoticed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fixtureRepository } from "./fixture-repository.ts";
import { compareOpenApi, generateOpenApi } from "./open-api-document.ts";

const routes = { openapi: "3.1.0", paths: { "/volumes": { get: { summary: "List" } } } };

test("equal documents agree whatever the order of their keys", () => {
  const written = { paths: { "/volumes": { get: { summary: "List" } } }, openapi: "3.1.0" };
  assert.deepEqual(compareOpenApi(routes, written), []);
});

test("a changed and an added place are named", () => {
  const written = { openapi: "3.1.0", paths: { "/volumes": { get: { summary: "Lists" } }, "/gone": {} } };
  assert.deepEqual(compareOpenApi(routes, written).slice(0, 2), [
    "docs/openapi.json: differs from the routes at #/paths//volumes/get/summary",
    "docs/openapi.json: differs from the routes at #/paths//gone",
  ]);
});

test("the document comes from the front end's door, and there is none without a front end", async (context) => {
  const empty = fixtureRepository(context, { "package.json": '{"type":"module"}' });
  assert.equal(await generateOpenApi(empty), undefined);
  const door = "export const openApiDocument = async () => ({ openapi: '3.1.0', servers: undefined });\n";
  const root = fixtureRepository(context, {
    "package.json": '{"type":"module"}',
    "src/frontend/http/mod.ts": door,
  });
  assert.deepEqual(await generateOpenApi(root), { openapi: "3.1.0" });
});
