/** The daemon's status and the pool's settings. */
import type { Api } from "./api.ts";
import { errorResponses } from "./error-json.ts";
import {
  ChangePoolSchema,
  PoolReference,
  PoolSchema,
  poolJson,
  StatusSchema,
  statusJson,
} from "./status-json.ts";

const tags = ["pool"];

export function addPoolRoutes({ app, control }: Api): void {
  app.addSchema(PoolSchema);
  app.addSchema(StatusSchema);

  app.get(
    "/api/v1/status",
    {
      schema: {
        tags,
        summary: "State of the daemon and its pool",
        response: { 200: { $ref: "Status#" }, ...errorResponses },
      },
    },
    () => statusJson(control().status.now()),
  );

  app.get(
    "/api/v1/pool",
    { schema: { tags, summary: "State of the pool", response: { 200: PoolReference, ...errorResponses } } },
    () => poolJson(control().status.now().pool),
  );

  app.patch(
    "/api/v1/pool",
    {
      schema: {
        tags,
        summary: "Change settings of the running pool",
        description: "A pool may grow at any time, and shrink to what it uses.",
        body: ChangePoolSchema,
        response: { 200: PoolReference, ...errorResponses },
      },
    },
    async (request) => poolJson(await control().changePool(request.body)),
  );
}
