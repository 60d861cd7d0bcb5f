/** A program for tests: watches the directories `one` and `other` of a tree, and says what came of it. */
import { openSourceTree } from "../source-tree.ts";

const tree = await openSourceTree(process.argv[2]!);
try {
  await tree.watch(() => {});
  const excludes = { patterns: [] };
  await tree.walk({ paths: ["one", "other"], excludes });
  console.log("watched");
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  console.log(code, message);
} finally {
  await tree.close();
}
