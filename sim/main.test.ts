/** The command `npm run sim`: what it prints and how it exits. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { plants } from "./plants.ts";

function sim(...options: string[]): { status: number | null; stdout: string; stderr: string } {
  const main = join(import.meta.dirname, "main.ts");
  return spawnSync(process.execPath, [main, ...options], { encoding: "utf8" });
}

test("the last line counts the seeds that passed and failed", () => {
  const { status, stdout } = sim("--scenario", "crash", "--seeds", "1..2", "--jobs", "1");
  assert.equal(stdout.trimEnd().split("\n").at(-1), "2 passed, 0 failed");
  assert.equal(status, 0);
});

test("a planted bug fails the run, and the command that replays the seed is printed", () => {
  const { status, stdout } = sim(
    "--scenario",
    "crash",
    "--seeds",
    "1..40",
    "--plant",
    "lying-disk",
    "--jobs",
    "2",
  );
  assert.match(stdout, /failed the check \S+\n/);
  assert.match(stdout, /replay: npm run sim -- --scenario crash --seeds (\d+)\.\.\1 --plant lying-disk\n/);
  assert.match(stdout.trimEnd(), /\d+ passed, [1-9]\d* failed$/);
  assert.equal(status, 1);
});

test("the bugs that can be planted are listed", () => {
  const { status, stdout } = sim("--plants");
  assert.equal(status, 0);
  assert.deepEqual(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0]),
    plants.map(({ name }) => name),
  );
});

for (const wrong of [
  ["--seeds", "9..1"],
  ["--seeds", "x"],
  ["--scenario", "no"],
  ["--plant", "no"],
  ["--jobs", "0"],
  ["--no"],
])
  test(`wrong usage exits with 2: ${wrong.join(" ")}`, () => {
    const { status, stderr } = sim(...wrong);
    assert.equal(status, 2);
    assert.match(stderr, /usage: npm run sim/);
  });
