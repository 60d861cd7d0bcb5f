/** The pool room's public door. */
export * from "./pool-api.ts";
export { Pool, type PoolWorld } from "./pool.ts";
