import assert from "node:assert/strict";
import { test } from "node:test";
import { IscsiRules } from "./iscsi-rules.ts";
import { parseConfigFile } from "./settings/config-file.ts";
import { resolveSettings } from "./settings/settings.ts";

const FILES: Record<string, string> = {
  good: "from-a-file-0123\n",
  short: "short\n",
  mine: "mine-and-only-mine",
};

function rulesOf(text: string): Promise<IscsiRules> {
  const { iscsi } = resolveSettings([parseConfigFile({ path: "f", text })]);
  return IscsiRules.read(iscsi, async (path) => FILES[path]!);
}

test("secrets come from the settings or from files, for all targets and for one", async () => {
  const rules = await rulesOf(`
iscsi:
  chap: [{user: a, secretFile: good}]
  targets:
    v: {chap: [{user: b, secret: twelve-bytes}], mutual: {user: m, secretFile: mine}}
`);
  assert.deepEqual(rules.of("other").users, [{ user: "a", secret: "from-a-file-0123" }]);
  assert.deepEqual(rules.of("v").users, [{ user: "b", secret: "twelve-bytes" }]);
  assert.deepEqual(rules.of("v").mutual, { user: "m", secret: "mine-and-only-mine" });
});

test("a secret in a file that is too short is refused with the file's name", async () => {
  await assert.rejects(rulesOf("iscsi: {chap: [{user: a, secretFile: short}]}"), {
    code: "INVALID_CONFIG",
    message: /user "a" in short has 5 bytes/,
  });
});

test("a target's own secret that is also a user's is refused", async () => {
  const text = "iscsi: {chap: [{user: a, secret: from-a-file-0123}], mutual: {user: m, secretFile: good}}";
  await assert.rejects(rulesOf(text), { code: "INVALID_CONFIG", message: /also a user's/ });
});
