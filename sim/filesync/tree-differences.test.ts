/** The checks at the end of a run, and on its way, see what they are for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckFailed } from "../check-failed.ts";
import { ContentHistory } from "./content-history.ts";
import { SimulatedTree } from "./simulated-tree.ts";
import { treeDifferences } from "./tree-differences.ts";
import { WireRules } from "./wire-rules.ts";

function tree(device: number): SimulatedTree {
  const made = new SimulatedTree({ nowMs: () => 0, tickMs: 1, device });
  made.create("d", "directory", 0o755);
  made.create("d/f", "file", 0o644);
  made.setContent("d/f", Buffer.from("content"));
  made.create("g", "file", 0o644);
  made.symlink("s", "d/f");
  return made;
}

const changes: Record<string, (target: SimulatedTree) => void> = {
  "a name that is missing": (target) => target.unlink("g"),
  "a name too many": (target) => target.symlink("x", "y"),
  "another mode": (target) => target.chmod("d/f", 0o600),
  "another owner": (target) => target.chown("g", 0, 7),
  "another nanosecond of a directory": (target) =>
    target.setTime("d", { seconds: target.now.seconds, nanoseconds: 1 }),
  "another extended attribute": (target) =>
    target.setExtended("s", [{ name: "user.a", value: new Uint8Array(1) }]),
  "another content of the same size and time": (target) => target.setContent("d/f", Buffer.from("CONTENT")),
  "another link structure": (target) => {
    target.unlink("g");
    target.link("d/f", "g");
    target.unlink("d/f");
    target.create("d/f", "file", 0o644);
  },
};

for (const [what, change] of Object.entries(changes))
  test(`trees are compared in everything: ${what}`, () => {
    const target = tree(2);
    assert.deepEqual(treeDifferences(tree(1), target), []);
    change(target);
    assert.notEqual(treeDifferences(tree(1), target).length, 0);
  });

test("own names at the target are passed over", () => {
  const target = tree(2);
  target.create(".ropewalk-1", "file", 0o600);
  target.setTime("", tree(1).root.modified);
  assert.deepEqual(treeDifferences(tree(1), target), []);
});

test("a content that no file ever had is torn, unless whoever read it could not know", () => {
  const history = new ContentHistory();
  history.had(Buffer.from("one"));
  history.checkShown("f", Buffer.from("one"));
  assert.throws(() => history.checkShown("f", Buffer.from("onf")), { check: "torn" });
  history.wasTorn(Buffer.from("onf"));
  history.checkShown("f", Buffer.from("onf"));
});

const main = { life: 1, number: 0, connections: 2 };
const other = { life: 1, number: 1, connections: 2 };

function brokenBy(act: (rules: WireRules) => void, barrier: "tree" | "path" = "tree"): string[] {
  const broken: string[] = [];
  const rules = new WireRules({ barrier, broken: (error: CheckFailed) => broken.push(error.check) });
  act(rules);
  return broken;
}

test("a command while another connection copies breaks F7 under the strict barrier, and only there", () => {
  const act = (rules: WireRules) => {
    rules.saidHello(main);
    rules.saidHello(other);
    rules.began(other);
    rules.began(main);
    rules.makes(main, "rename", "a");
  };
  assert.deepEqual(brokenBy(act), ["F7"]);
  assert.deepEqual(brokenBy(act, "path"), []);
});

test("a copy that begins while a command is carried out breaks F6", () => {
  const act = (rules: WireRules) => {
    rules.saidHello(main);
    rules.saidHello(other);
    rules.began(main);
    rules.makes(main, "remove", "a");
    rules.began(other);
  };
  assert.deepEqual(brokenBy(act), ["F6"]);
});

test("a copy before all hellos breaks F8, two of one path F12, one behind the finish F5", () => {
  assert.deepEqual(
    brokenBy((rules) => {
      rules.saidHello(other);
      rules.began(other);
    }),
    ["F8"],
  );
  assert.deepEqual(
    brokenBy((rules) => {
      rules.saidHello(main);
      rules.saidHello(other);
      rules.began(main);
      rules.makes(main, "file", "a");
      rules.began(other);
      rules.makes(other, "file", "a");
    }),
    ["F12"],
  );
  assert.deepEqual(
    brokenBy((rules) => {
      rules.saidHello(main);
      rules.saidHello(other);
      rules.began(other);
      rules.finished();
    }),
    ["F5"],
  );
});
