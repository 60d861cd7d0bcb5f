// A small repository in a temporary folder for the tests of the checks; it disappears with the test.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";

/** Makes the files (path → text) in a new git repository and returns its folder. */
export function fixtureRepository(context: TestContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "ropewalk-check-"));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  execFileSync("git", ["init", "--quiet"], { cwd: root });
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return root;
}
