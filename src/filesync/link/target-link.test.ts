import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { nextTurn } from "../../ports/mod.ts";
import { PATHS_MAX } from "../../wire/filesync/mod.ts";
import { TargetRoots } from "../target/target-roots.ts";
import { TargetSession } from "../target/target-session.ts";
import { ABILITIES } from "../testing/abilities.ts";
import { CONFIGURATION, connectTo, localLink, openAdmission, TEST_RANDOM } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { LocalExchange } from "./local-exchange.ts";
import { TargetLink } from "./target-link.ts";

const isCode = (code: string) => (error: unknown) => error instanceof RopewalkError && error.code === code;

function linkWithKeys(source: Uint8Array | undefined, target: Uint8Array | undefined): TargetLink {
  const roots = new TargetRoots({
    random: TEST_RANDOM,
    canonical: async (path) => path,
    open: async () => ({ tree: new MemoryTree(), abilities: ABILITIES }),
  });
  const admission = roots.admission({
    find: () => ({ path: "/copy", key: target }),
    end: async () => undefined,
  });
  return new TargetLink({
    exchange: new LocalExchange(new TargetSession(admission)),
    random: TEST_RANDOM,
    key: source,
    connections: 4,
    sourceHost: "here",
    sourceDirectory: "/source",
  });
}

const key = new Uint8Array(32).fill(1);
const otherKey = new Uint8Array(32).fill(2);

test("both ends that know the key let each other in", async () => {
  const abilities = await linkWithKeys(key, key).hello(CONFIGURATION);
  assert.equal(abilities.nameBytesMax, 255);
});

test("without a key on either side the way itself is trusted", async () => {
  const abilities = await linkWithKeys(undefined, undefined).hello(CONFIGURATION);
  assert.equal(abilities.freeBytes, 1e9);
});

test("a source with another key is not let in", async () => {
  await assert.rejects(linkWithKeys(otherKey, key).hello(CONFIGURATION), isCode("UNAUTHORIZED"));
});

test("a target that asks for no key where there is one is not believed", async () => {
  await assert.rejects(linkWithKeys(key, undefined).hello(CONFIGURATION), isCode("UNAUTHORIZED"));
});

test("a target that asks for a key where none was given is told so", async () => {
  await assert.rejects(linkWithKeys(undefined, key).hello(CONFIGURATION), isCode("UNAUTHORIZED"));
});

test("a target that welcomes without proof of the key is not believed", async () => {
  const admission = openAdmission(new MemoryTree());
  let hellos = 0;
  const link = new TargetLink({
    exchange: new LocalExchange(
      new TargetSession({
        ...admission,
        hello: (hello) =>
          hellos++ === 0
            ? Promise.resolve({ reply: { stage: "challenge", nonce: new Uint8Array(32) }, root: undefined })
            : admission.hello(hello),
      }),
    ),
    random: TEST_RANDOM,
    key,
    connections: 1,
    sourceHost: "here",
    sourceDirectory: "/source",
  });
  await assert.rejects(link.hello(CONFIGURATION), isCode("UNAUTHORIZED"));
});

test("many paths are asked for in several requests, and their answers keep their order", async () => {
  const tree = new MemoryTree({ last: "x" });
  const link = await connectTo(tree);
  const paths = Array.from({ length: PATHS_MAX + 1 }, (_, index) =>
    index === PATHS_MAX ? "last" : `no${index}`,
  );
  const found = await link.stat(paths);
  assert.equal(found.length, paths.length);
  assert.equal(found.at(-1)?.sizeBytes, 1);
  assert.equal(tree.calls.filter((call) => call.startsWith("stat")).length, 2);
});

test("a local connection that ends tells whoever waits at once, and is closed when the tree has finished", async () => {
  const tree = new MemoryTree();
  const link = await connectTo(tree);
  const busy = new Deferred();
  tree.before = () => busy.promise;
  const asked = link.sync();
  await nextTurn(new SteppedClock());
  let isClosed = false;
  void link.closed.then(() => (isClosed = true));
  link.abandon(new RopewalkError("TIMEOUT", "cut"));
  await assert.rejects(asked, isCode("TIMEOUT"));
  await assert.rejects(link.sync(), isCode("TIMEOUT"));
  assert.equal(isClosed, false);
  busy.resolve();
  assert.equal((await link.closed)?.code, "TIMEOUT");
});

test("a local connection that is closed is so for no reason", async () => {
  const link = localLink(new MemoryTree());
  await link.close();
  assert.equal(await link.closed, undefined);
});
