// A git repository that is worked in while it replicates: whenever it is at rest and the replication has settled, git finds
// the copy in order, with the same history.
import { mkdirSync, writeFileSync } from "node:fs";
import { Prng } from "../../src/base/prng.ts";
import { runProgram, tryProgram } from "../support/run-program.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { LocalReplica } from "./local-replica.ts";
import { treeDifferences } from "./tree-differences.ts";

const FILES = 40;
const WHO = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "gc.auto=0"];

export interface GitWorkOptions {
  readonly rounds: number;
  readonly seed: number;
}

/** Problems; empty: none. */
export async function gitWork({ rounds, seed }: GitWorkOptions): Promise<string[]> {
  using folder = new TemporaryFolder();
  const [source, target] = [folder.file("source"), folder.file("target")];
  for (const path of [source, target]) mkdirSync(path);
  const git = (...parameters: string[]) => runProgram("git", [...WHO, ...parameters], { folder: source });
  const prng = new Prng(seed);
  const edit = (name: string) =>
    writeFileSync(`${source}/${name}`, `${prng.word()}\n`.repeat(1 + (prng.word() % 400)));
  await git("init", "-q", "-b", "main");
  for (let index = 0; index < FILES; index += 1) edit(`file${index}`);
  await git("add", "-A");
  await git("commit", "-q", "-m", "first");
  await using replica = new LocalReplica({ source, target });
  const problems: string[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    await git("checkout", "-q", "-b", `work${round}`);
    for (let count = 0; count < 3; count += 1) {
      edit(`file${prng.word() % FILES}`);
      edit(`new${round}.${count}`);
      await git("add", "-A");
      await git("commit", "-q", "-m", `work ${round}.${count}`);
    }
    await git("checkout", "-q", "main");
    edit(`main${round}`);
    await git("add", "-A");
    await git("commit", "-q", "-m", `main ${round}`);
    await git("rebase", "-q", "main", `work${round}`);
    await git("checkout", "-q", "main");
    await git("merge", "-q", "--ff-only", `work${round}`);
    if (round % 2 === 0) await git("gc", "-q", "--prune=now");
    await replica.settled();
    const { code, stdout, stderr } = await tryProgram("git", ["fsck", "--full", "--strict"], {
      folder: target,
    });
    if (code !== 0) problems.push(`round ${round}: git fsck: ${stdout}${stderr}`);
    const [here, there] = await Promise.all(
      [source, target].map((path) => runProgram("git", ["rev-parse", "HEAD"], { folder: path })),
    );
    if (here !== there) problems.push(`round ${round}: HEAD is ${there} instead of ${here}`);
    problems.push(...(await treeDifferences(source, target)).map((line) => `round ${round}: ${line}`));
  }
  return problems;
}
