/** The ports: everything that Ropewalk needs from the world, as interfaces. `host/` and `sim/` implement them. */
export * from "./append-file.ts";
export * from "./clock.ts";
export * from "./disk.ts";
export * from "./file-tree.ts";
export * from "./network.ts";
export * from "./page-threads.ts";
export * from "./random.ts";
