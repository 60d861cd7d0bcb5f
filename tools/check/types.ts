// The whole repository through the TypeScript compiler, nothing emitted.

import type { Check } from "./check.ts";
import { runProgram } from "./run-program.ts";

export const typesCheck: Check = {
  name: "types",
  run: (root) =>
    runProgram({ root, program: "node_modules/.bin/tsc", parameters: ["--noEmit", "--pretty", "false"] }),
};
