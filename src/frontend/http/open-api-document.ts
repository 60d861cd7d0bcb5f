/** The OpenAPI document, made from the very routes that serve. docs/openapi.json is compared with it. */
import { HTTP_LIMITS_DEFAULT, makeApplication } from "./application.ts";
import { BearerKey } from "./bearer-key.ts";

/** Its version is that of the API, so that the document changes only when the API does. */
const API_VERSION = "1";

export async function openApiDocument(): Promise<object> {
  const app = makeApplication({
    control: Promise.withResolvers<never>().promise,
    key: new BearerKey("nobody asks"),
    version: API_VERSION,
    log: { debug() {}, info() {}, error() {} },
    connections: () => ({}),
    nextTurn: () => Promise.resolve(),
    limits: HTTP_LIMITS_DEFAULT,
  });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
}
