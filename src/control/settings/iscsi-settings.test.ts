import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseConfigFile } from "./config-file.ts";
import { settingsOfEnvironment, settingsOfFlags } from "./given-settings.ts";
import { parsePortal } from "./iscsi-settings.ts";
import { resolveSettings } from "./settings.ts";

const fromFile = (text: string) => resolveSettings([parseConfigFile({ path: "ropewalk.yaml", text })]);
const CHAP = "chap: [{user: u, secret: twelve-bytes}]";

test("without any setting iSCSI is served on loopback to anybody", () => {
  const { iscsi } = resolveSettings([]);
  assert.deepEqual(iscsi.portals, [{ host: "127.0.0.1", port: 3260, portalGroupTag: 1 }]);
  assert.deepEqual(iscsi.rules, { chap: [], mutual: undefined, initiators: [], blockBytes: 512 });
  assert.equal(iscsi.targets.size, 0);
});

test("an empty list of addresses turns iSCSI off", () => {
  assert.deepEqual(fromFile("iscsi: {addresses: []}").iscsi.portals, []);
});

test("portals come with or without a tag from flags, environment and file", () => {
  const expected = [
    { host: "127.0.0.1", port: 1, portalGroupTag: 2 },
    { host: "::1", port: 3, portalGroupTag: 1 },
    { host: "localhost", port: 4, portalGroupTag: 65_535 },
  ];
  const texts = ["127.0.0.1:1,2", "[::1]:3", "localhost:4,65535"];
  for (const source of [
    settingsOfFlags({ "iscsi.addresses": texts }),
    settingsOfEnvironment({ ROPEWALK_ISCSI: texts.join(",") }),
    settingsOfEnvironment({ ROPEWALK_ISCSI: texts.join(" , ") }),
  ])
    assert.deepEqual(resolveSettings([source]).iscsi.portals, expected);
  assert.deepEqual(fromFile(`iscsi: {addresses: ${JSON.stringify(texts)}}`).iscsi.portals, expected);
});

test("any text is a portal or an error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^127\.0\.0\.1:\d{1,6},\d{0,6}$/)), (text) => {
      try {
        const { port, portalGroupTag } = parsePortal(text);
        return port <= 65_535 && portalGroupTag >= 1 && portalGroupTag <= 65_535;
      } catch (error) {
        return error instanceof Error;
      }
    }),
  );
});

test("what one target asks goes over what all ask, key by key", () => {
  const { iscsi } = fromFile(`
iscsi:
  ${CHAP}
  mutual: {user: me, secretFile: /etc/secret}
  initiators: [IQN.2004-10.com.Example:Host]
  blockBytes: 4096
  targets:
    open: {chap: [], initiators: []}
    small: {blockBytes: 512}
`);
  const { rules, targets } = iscsi;
  assert.deepEqual(rules.chap, [{ user: "u", secret: "twelve-bytes" }]);
  assert.deepEqual(rules.mutual, { user: "me", secretFile: "/etc/secret" });
  assert.deepEqual(rules.initiators, ["iqn.2004-10.com.example:host"]);
  assert.deepEqual(targets.get("small"), { ...rules, blockBytes: 512 });
  assert.deepEqual(targets.get("open"), { ...rules, chap: [], mutual: undefined, initiators: [] });
});

test("everything wrong is INVALID_CONFIG and names its place", () => {
  const cases: [string, RegExp][] = [
    [`iscsi: {addresses: ["127.0.0.1:1,0"]}`, /"0" is no portal group tag/],
    [`iscsi: {addresses: ["127.0.0.1:1,65536"]}`, /portal group tag/],
    [`iscsi: {addresses: ["127.0.0.1"]}`, /is no address/],
    ["iscsi: {blockBytes: 1024}", /"iscsi.blockBytes" must be one of 512, 4096/],
    ["iscsi: {chap: [{user: u, secret: elevenbytes}]}", /user "u" has 11 bytes; CHAP needs 12 to 255/],
    [`iscsi: {chap: [{user: u, secret: "${"x".repeat(256)}"}]}`, /has 256 bytes/],
    ["iscsi: {chap: [{user: u}]}", /either secret or secretFile/],
    ["iscsi: {chap: [{user: u, secret: twelve-bytes, secretFile: f}]}", /either secret or secretFile/],
    [
      "iscsi: {chap: [{user: u, secret: twelve-bytes}, {user: u, secret: twelve-bytes}]}",
      /user "u" is given twice/,
    ],
    ["iscsi: {mutual: {user: u, secret: twelve-bytes}}", /mutual needs chap/],
    ["iscsi: {initiators: [host]}", /"host" is no initiator's name/],
    [`iscsi: {initiators: ["iqn.2004-10.com.example:${"x".repeat(200)}"]}`, /./],
    ["iscsi: {targets: {BAD: {}}}", /./],
    ["iscsi: {targets: {v: {chap: [{user: u, secret: short}]}}}", /iscsi\.targets\.v: .*has 5 bytes/],
    ["iscsi: {targets: {v: {unknown: 1}}}", /"iscsi\.targets\.v\.unknown" is not a setting/],
  ];
  for (const [text, pattern] of cases)
    assert.throws(() => fromFile(text), { code: "INVALID_CONFIG", message: pattern }, text);
});

test("an address that is not loopback needs users or a list of initiators on every target, or --insecure", () => {
  const open = `addresses: ["127.0.0.1:1", "10.0.0.1:1"]`;
  for (const text of [
    `iscsi: {${open}}`,
    `iscsi: {${open}, targets: {v: {${CHAP}}}}`,
    `iscsi: {${open}, ${CHAP}, targets: {v: {chap: []}}}`,
  ]) {
    assert.throws(() => fromFile(text), { code: "INSECURE_ADDRESS" }, text);
    assert.doesNotThrow(() => fromFile(`${text}\ninsecure: true`), text);
  }
  for (const text of [
    `iscsi: {${open}, ${CHAP}, targets: {v: {blockBytes: 4096}}}`,
    `iscsi: {${open}, initiators: ["iqn.2004-10.com.example:host"]}`,
    `iscsi: {${open}, ${CHAP}, targets: {v: {chap: [], initiators: [eui.0123456789abcdef]}}}`,
  ])
    assert.doesNotThrow(() => fromFile(text), text);
});
