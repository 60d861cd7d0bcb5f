// Format and lint of every file, by biome (biome.json). `npm run format` repairs what can be repaired.
import type { Check } from "./check.ts";
import { runProgram } from "./run-program.ts";

export const styleCheck: Check = {
  name: "format and lint",
  run: (root) =>
    runProgram({
      root,
      program: "node_modules/.bin/biome",
      parameters: ["check", "--error-on-warnings", "--colors=off", "--max-diagnostics=30", "."],
    }),
};
