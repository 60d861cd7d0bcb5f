// What `ropewalk filesync add` does not take: each is refused at once with its code and a sentence that says what to do,
// and nothing is made, started or remembered.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Daemon } from "../support/daemon.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";

test("what cannot be a source, a target or a key is refused with its code and what to do, and nothing is left of it", async () => {
  using folder = new TemporaryFolder();
  const at = (name: string) => folder.file(name);
  for (const name of ["source/inner", "full/inner", "other"]) mkdirSync(at(name), { recursive: true });
  writeFileSync(at("source/file"), "content");
  writeFileSync(at("full/file"), "stays");
  writeFileSync(at("plain"), "a file");
  symlinkSync("source/inner", at("link-to-inner"));
  writeFileSync(at("short.key"), "abcd\n", { mode: 0o600 });
  await using daemon = await Daemon.start({ poolSize: "1GiB" });
  await daemon.cli("filesync", "add", "first", "--source", at("source"), "--to", at("taken"));
  await daemon.cli("filesync", "target", "add", "root", "--root", at("received"), "--key", at("root.key"));

  const peer = "ropewalk://127.0.0.1:1/there";
  const cases: { what: string; source: string; to: string[]; says: RegExp }[] = [
    {
      what: "a missing source",
      source: "none",
      to: [at("new")],
      says: /SOURCE_MISSING.*does not exist; name a directory/,
    },
    {
      what: "a source that is a file",
      source: "plain",
      to: [at("new")],
      says: /SOURCE_MISSING.*is no directory; name a directory/,
    },
    {
      what: "a target that is a file",
      source: "source",
      to: [at("plain")],
      says: /INVALID_ARGUMENT.*is no directory; name one/,
    },
    {
      what: "the source itself",
      source: "full",
      to: [at("full")],
      says: /INVALID_ARGUMENT.*one directory; choose directories apart/,
    },
    {
      what: "a target in the source",
      source: "full",
      to: [at("full/inner")],
      says: /INVALID_ARGUMENT.*target lies in the source; choose/,
    },
    {
      what: "a source in the target",
      source: "full/inner",
      to: [at("full")],
      says: /INVALID_ARGUMENT.*source lies in the target; choose/,
    },
    {
      what: "a target in the source by a link",
      source: "source",
      to: [at("link-to-inner")],
      says: /INVALID_ARGUMENT.*target lies in the source/,
    },
    {
      what: "a root that is taken",
      source: "other",
      to: [at("taken")],
      says: /TARGET_IN_USE.*"first" writes there; each needs a directory of its own/,
    },
    {
      what: "a root that others may write to",
      source: "other",
      to: [at("received")],
      says: /TARGET_IN_USE.*each needs a directory of its own/,
    },
    {
      what: "a daemon without a key",
      source: "other",
      to: [peer],
      says: /INVALID_ARGUMENT.*needs its key: give --key FILE/,
    },
    {
      what: "a key that is too short",
      source: "other",
      to: [peer, "--key", at("short.key")],
      says: /INVALID_ARGUMENT.*(hexadecimal|32 bytes|64)/,
    },
    {
      what: "a path that is too long",
      source: "other",
      to: [`/${"d".repeat(4096)}`],
      says: /INVALID_ARGUMENT.*path/,
    },
    {
      what: "a name that cannot be made",
      source: "other",
      to: [at("n".repeat(256))],
      says: /INVALID_ARGUMENT|IO_ERROR|TOO_LARGE/,
    },
  ];
  for (const { what, source, to, says } of cases) {
    const targets = to.flatMap((word, index) =>
      to[index - 1] === "--key" || word === "--key" ? [word] : ["--to", word],
    );
    const { code, stdout, stderr } = await daemon.tryCli(
      "filesync",
      "add",
      "second",
      "--source",
      at(source),
      ...targets,
    );
    assert.equal(code, 1, `${what}: ${stdout}`);
    assert.match(stderr, says, what);
  }

  await daemon.cli("filesync", "show", "first", "--wait");
  assert.deepEqual(
    ((await daemon.json("filesync", "list")) as { name: string }[]).map(({ name }) => name),
    ["first"],
  );
  assert.equal(existsSync(at("new")), false);
  assert.deepEqual(readdirSync(at("full")).sort(), ["file", "inner"]);
  await daemon.cli("filesync", "add", "second", "--source", at("other"), "--to", at("new"));
  await daemon.cli("filesync", "show", "second", "--wait");
});
