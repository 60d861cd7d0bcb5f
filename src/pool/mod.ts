/** The pool room's public door. */
export * from "./pool-api.ts";
export { Pool } from "./pool.ts";
export type { PoolEvent, PoolWorld } from "./world.ts";
