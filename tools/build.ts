// `npm run build`: the JavaScript and declarations of src in dist/, which is what the published package runs,
// because Node does not strip types under node_modules. dist/ is made anew each time; a type error fails it.
// The compiler rewrites the extensions of imports; those in `new URL("./x.ts", import.meta.url)` (workers) are
// rewritten here.
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { runProgram } from "./check/run-program.ts";

const root = resolve(import.meta.dirname, "..");

rmSync(join(root, "dist"), { recursive: true, force: true });
const problems = await runProgram({
  root,
  program: "node_modules/.bin/tsc",
  parameters: ["--project", "tsconfig.build.json", "--pretty", "false"],
});
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}

const moduleUrl = /(new URL\(\s*"\.[^"]*)\.ts(",\s*import\.meta\.url\s*,?\s*\))/g;
for (const file of globSync(join(root, "dist/**/*.js"))) {
  const text = readFileSync(file, "utf8");
  const rewritten = text.replace(moduleUrl, "$1.js$2");
  if (rewritten !== text) writeFileSync(file, rewritten);
}
