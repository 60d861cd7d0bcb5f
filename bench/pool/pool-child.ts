// The process that owns the pool under measurement: carries out what its parent asks over the IPC channel.

import { PoolOperations } from "./pool-operations.ts";
import type { PoolAnswer, PoolRequest } from "./pool-process.ts";

const operations = new PoolOperations();

process.on("message", (request: PoolRequest) => {
  const operation = operations[request.operation] as (options: unknown) => unknown;
  Promise.resolve()
    .then(() => operation.call(operations, request.options))
    .then(
      (value) => answer({ value }),
      (error: Error) => answer({ error: error.stack ?? error.message }),
    );
});
// Without its parent it has nothing to do.
process.on("disconnect", () => process.exit(0));

function answer(message: PoolAnswer): void {
  process.send!(message);
}
