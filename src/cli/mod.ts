/** The command line's public door. */
export type { CliWorld, ServeOptions } from "./cli-world.ts";
export { runCommandLine } from "./command-line.ts";
