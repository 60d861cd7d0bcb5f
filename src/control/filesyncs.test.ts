import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { type FilesyncTestWorld, filesyncWorld } from "../../test/support/filesync-world.ts";
import type { FilesyncWish } from "./filesync-wish.ts";

const KEY = "5a".repeat(32);

function world(): FilesyncTestWorld {
  const made = filesyncWorld();
  for (const name of ["data", "source", "other"]) mkdirSync(made.folder.file(name));
  return made;
}

/** A wish with paths in the test's folder, where they have no scheme. */
function wish(
  { folder }: FilesyncTestWorld,
  given: { source?: string; to?: string[] } & Partial<FilesyncWish>,
) {
  const { source = "source", to = ["copy"], ...rest } = given;
  const targets = to.map((each) =>
    each.includes("://")
      ? { to: each, ...(each.startsWith("ropewalk") ? { key: KEY } : {}) }
      : { to: folder.file(each) },
  );
  return { name: "a", source: folder.file(source), targets, ...rest };
}

test("a synchronization is kept, for its owner only, and starts again with the daemon as it was", async () => {
  using first = world();
  const { filesyncs, started, folder } = first;
  const given = { threads: 2, deletes: "trash", excludes: ["*.tmp"], bandwidthBytesPerSecond: 1000 } as const;
  await filesyncs.add(wish(first, { to: ["copy", "ropewalk://127.0.0.1:7431/in"], ...given }));
  assert.deepEqual(started.get("a")!.calls, ["start"]);
  assert.ok(statSync(folder.file("copy")).isDirectory(), "the target was made");
  const file = folder.file("data/filesync/a.json");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, "utf8"), new RegExp(KEY));
  await filesyncs.pause("a");
  await filesyncs.stop();

  const second = first.again();
  await second.filesyncs.load();
  const synchronization = second.started.get("a")!;
  assert.deepEqual(synchronization.calls, ["pause", "start"]);
  const { settings, id, targets } = synchronization.parts;
  assert.deepEqual(
    { ...settings },
    {
      ...given,
      excludes: ["*.tmp"],
      mode: "attributes",
      barrier: "tree",
      idleCloseMs: 5000,
      queueEntriesMax: 16_384,
      copyRunEntriesMax: 128,
    },
  );
  assert.deepEqual(id, started.get("a")!.parts.id);
  assert.deepEqual(
    targets.map(({ to, name }) => [to, name]),
    [
      [folder.file("copy"), ""],
      ["ropewalk://127.0.0.1:7431/in", "in"],
    ],
  );
  assert.doesNotMatch(JSON.stringify(second.filesyncs.list()), new RegExp(KEY), "a key is never shown");
  await second.filesyncs.stop();
});

test("delete stops it and forgets it with its journal; the target stays", async () => {
  using made = world();
  const { filesyncs, started, folder } = made;
  await filesyncs.add(wish(made, {}));
  writeFileSync(folder.file("copy/file"), "stays");
  await filesyncs.delete("a");
  assert.deepEqual(started.get("a")!.calls, ["start", "stop"]);
  assert.deepEqual(readdirSync(folder.file("data/filesync")), []);
  assert.ok(existsSync(folder.file("copy/file")));
  assert.throws(() => filesyncs.show("a"), { code: "NOT_FOUND" });
  await assert.rejects(filesyncs.delete("a"), { code: "NOT_FOUND" });
  await filesyncs.add(wish(made, {}));
  await filesyncs.stop();
});

test("sources and targets that cannot be are refused, also through symbolic links, and nothing is kept", async () => {
  using made = world();
  const { filesyncs, folder } = made;
  mkdirSync(folder.file("source/inner"));
  writeFileSync(folder.file("file"), "");
  symlinkSync("source", folder.file("link"));
  symlinkSync("nowhere", folder.file("dangling"));
  for (const [given, code] of [
    [{ source: "none" }, "SOURCE_MISSING"],
    [{ source: "file" }, "SOURCE_MISSING"],
    [{ source: "data" }, "INVALID_ARGUMENT"],
    [{ source: "." }, "INVALID_ARGUMENT"],
    [{ to: ["file"] }, "INVALID_ARGUMENT"],
    [{ to: ["dangling"] }, "INVALID_ARGUMENT"],
    [{ to: ["source"] }, "INVALID_ARGUMENT"],
    [{ to: ["link"] }, "INVALID_ARGUMENT"],
    [{ to: ["link/inner/new"] }, "INVALID_ARGUMENT"],
    [{ source: "link/inner", to: ["source"] }, "INVALID_ARGUMENT"],
    [{ to: ["data/x"] }, "INVALID_ARGUMENT"],
    [{ to: [] }, "INVALID_ARGUMENT"],
    [{ to: ["copy", "copy"] }, "TARGET_IN_USE"],
    [{ to: ["copy", "copy/below"] }, "TARGET_IN_USE"],
    [{ to: ["ssh://h/a", "ssh://me@h:22/a/b"] }, "TARGET_IN_USE"],
    [{ targets: [{ to: "ropewalk://h:1/n" }] }, "INVALID_ARGUMENT"],
    [{ targets: [{ to: folder.file("copy"), key: KEY }] }, "INVALID_ARGUMENT"],
    [{ threads: 0 }, "INVALID_ARGUMENT"],
    [{ threads: 17 }, "INVALID_ARGUMENT"],
    [{ threads: 1.5 }, "INVALID_ARGUMENT"],
    [{ excludes: ["/"] }, "INVALID_ARGUMENT"],
    [{ name: "A" }, "INVALID_NAME"],
  ] as const)
    await assert.rejects(
      async () => filesyncs.add(wish(made, given as never)),
      { code },
      JSON.stringify(given),
    );
  assert.deepEqual(filesyncs.list(), []);
  assert.ok(!existsSync(folder.file("copy")) && !existsSync(folder.file("data/filesync")));
  // The daemon's own data may lie in the source where it is passed over.
  await filesyncs.add(wish(made, { source: ".", to: ["ssh://h/a"], excludes: ["/data"] }));
  await filesyncs.stop();
});

test("two synchronizations have no root in common, and none leads back to where it came from", async () => {
  using made = world();
  const { filesyncs, targets, folder } = made;
  await filesyncs.add(wish(made, { to: ["copy", "ropewalk://h:1/n", "ssh://h/a"] }));
  await targets.add({ name: "in", root: folder.file("in") });
  symlinkSync("copy", folder.file("link"));
  for (const [given, code] of [
    [{ source: "other" }, "TARGET_IN_USE"],
    [{ source: "other", to: ["link/below"] }, "TARGET_IN_USE"],
    [{ source: "other", to: ["in/below"] }, "TARGET_IN_USE"],
    [{ source: "other", to: ["ropewalk://h:1/n"] }, "TARGET_IN_USE"],
    [{ source: "other", to: ["ssh://me@h/a/b"] }, "TARGET_IN_USE"],
    [{ source: "copy", to: ["source"] }, "INVALID_ARGUMENT"],
  ] as const)
    await assert.rejects(filesyncs.add(wish(made, { name: "b", ...given } as never)), { code });
  for (const root of ["copy", "copy/x", "in", "in/x"])
    await assert.rejects(targets.add({ name: "t", root: folder.file(root) }), { code: "TARGET_IN_USE" });
  await assert.rejects(filesyncs.add(wish(made, { to: ["more"] })), { code: "ALREADY_EXISTS" });
  // A chain is no circle; its end must not be its beginning.
  await filesyncs.add(wish(made, { name: "b", source: "copy", to: ["third"] }));
  await assert.rejects(filesyncs.add(wish(made, { name: "c", source: "third", to: ["source"] })), {
    code: "INVALID_ARGUMENT",
  });
  await filesyncs.stop();
});

test("what cannot be started is shown as failed with its reason, and resume starts it", async () => {
  using first = world();
  await first.filesyncs.add(wish(first, {}));
  await first.filesyncs.stop();
  const journal = first.folder.file("data/filesync/a.journal");
  const content = readFileSync(journal);
  rmSync(journal);
  mkdirSync(journal);
  const { filesyncs, reports, started, folder } = first.again();
  await filesyncs.load();
  const { figures } = filesyncs.show("a");
  assert.equal(figures.state, "failed");
  assert.equal(figures.error?.code, "IO_ERROR");
  assert.deepEqual(
    figures.targets.map(({ to }) => to),
    [folder.file("copy")],
  );
  assert.equal(reports.length, 1);
  assert.throws(() => filesyncs.find("a").startSync({}), { code: "IO_ERROR" });
  rmSync(journal, { recursive: true });
  writeFileSync(journal, content);
  assert.equal((await filesyncs.resume("a")).figures.state, "live");
  assert.deepEqual(started.get("a")!.calls, ["start"]);
  await filesyncs.stop();
});

test("a synchronization that cannot begin is not kept", async () => {
  using made = world();
  const { filesyncs, folder } = made;
  writeFileSync(folder.file("data/filesync"), "a file where the journals' folder should be");
  await assert.rejects(filesyncs.add(wish(made, {})));
  rmSync(folder.file("data/filesync"));
  mkdirSync(folder.file("data/filesync/a.journal"), { recursive: true });
  await assert.rejects(filesyncs.add(wish(made, {})), { code: "IO_ERROR" });
  assert.deepEqual(filesyncs.list(), []);
  assert.deepEqual(readdirSync(folder.file("data/filesync")), ["a.journal"]);
});

test("a file that is damaged stops the load with its name", async () => {
  using made = world();
  mkdirSync(made.folder.file("data/filesync"));
  for (const text of ["{", "{}", '{"version":2}', '{"version":1,"id":"x"}']) {
    writeFileSync(made.folder.file("data/filesync/a.json"), text);
    await assert.rejects(made.again().filesyncs.load(), {
      code: "INVALID_CONFIG",
      message: /filesync\/a\.json/,
    });
  }
});

test("a bulk that was asked for is joined by who asks the same, not by who asks for another, and can be cancelled", async () => {
  using made = world();
  const { filesyncs, started } = made;
  await filesyncs.add(wish(made, {}));
  const run = filesyncs.find("a");
  const synchronization = started.get("a")!;
  run.startSync({ mode: "full" });
  run.startSync({ mode: "full", dryRun: false });
  assert.throws(() => run.startSync({ mode: "full", dryRun: true }), { code: "TOO_MANY" });
  assert.deepEqual(synchronization.calls, ["start", 'sync {"mode":"full"}']);
  await run.sync.cancel();
  assert.equal(synchronization.calls.at(-1), "cancelSync");
  assert.equal(run.sync.report().state, "cancelled");
  synchronization.syncing = Promise.withResolvers();
  run.startSync({ dryRun: true });
  // Names are bytes; people see UTF-8.
  const path = Buffer.from("ä").toString("latin1");
  synchronization.syncing.resolve({ copied: 1, removed: 0, bytes: 5, dryRun: [{ path, what: "copy" }] });
  assert.deepEqual(await run.sync.outcome(), {
    copied: 1,
    removed: 0,
    bytes: 5,
    dryRun: [{ path: "ä", what: "copy" }],
  });
  await filesyncs.stop();
});

test("a target's key is made once, kept for its owner only, and lets in until the target is deleted", async () => {
  using first = world();
  const { targets, folder } = first;
  const { key, ...shown } = await targets.add({ name: "in", root: folder.file("in") });
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.deepEqual(targets.list(), [shown]);
  assert.equal(statSync(folder.file("data/filesync-targets/in.json")).mode & 0o777, 0o600);
  const second = first.again();
  await second.targets.load();
  assert.deepEqual(second.targets.find("in"), { root: folder.file("in"), key: Buffer.from(key, "hex") });
  await assert.rejects(second.targets.add({ name: "in", root: folder.file("x") }), {
    code: "ALREADY_EXISTS",
  });
  await assert.rejects(second.targets.add({ name: "d", root: folder.file("data") }), {
    code: "INVALID_ARGUMENT",
  });
  await second.targets.delete("in");
  assert.equal(second.targets.find("in"), undefined);
  await assert.rejects(second.targets.delete("in"), { code: "NOT_FOUND" });
  assert.ok(existsSync(folder.file("in")));
});
