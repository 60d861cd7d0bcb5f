/** The pool room's public door. */

export { Pool } from "./pool.ts";
export * from "./pool-api.ts";
export type { PoolEvent, PoolWorld } from "./world.ts";
