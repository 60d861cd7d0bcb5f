import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseConfigFile } from "./config-file.ts";
import { configSchema } from "./config-schema.ts";
import { SETTING_NAMES, settingsOfEnvironment, settingsOfFlags } from "./given-settings.ts";
import { parseFirstVolume, resolveSettings } from "./settings.ts";

const file = (text: string) => parseConfigFile({ path: "ropewalk.yaml", text });
const fromFile = (text: string) => resolveSettings([file(text)]);
const document = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");

test("without any source everything has its default", () => {
  const settings = resolveSettings([]);
  assert.equal(settings.data, "./ropewalk-data");
  assert.deepEqual(settings.nbd.addresses, [{ host: "127.0.0.1", port: 10_809 }]);
  assert.deepEqual(settings.http.address, { host: "127.0.0.1", port: 7430 });
  assert.deepEqual(settings.peer, { address: { host: "127.0.0.1", port: 7431 }, connectionsMax: undefined });
  assert.equal(settings.logLevel, "info");
  assert.equal(settings.pool.sizeBytes, undefined);
});

test("flags go over the environment, that over the file", () => {
  const sources = [
    settingsOfFlags({ data: "/flag", "nbd.addresses": undefined }),
    settingsOfEnvironment({
      ROPEWALK_DATA: "/environment",
      ROPEWALK_NBD: "localhost:1, localhost:2",
      OTHER: "x",
    }),
    file("data: /file\nnbd: {addresses: ['localhost:3']}\nlogLevel: warn\n"),
  ];
  const settings = resolveSettings(sources);
  assert.equal(settings.data, "/flag");
  assert.deepEqual(
    settings.nbd.addresses.map(({ port }) => port),
    [1, 2],
  );
  assert.equal(settings.logLevel, "warn");
});

test("a file can set everything there is", () => {
  const settings = fromFile(`
data: /srv/ropewalk
adminKeyFile: /etc/ropewalk/key
logLevel: debug
nbd:
  addresses: ["0.0.0.0:10809", "[::1]:10809"]
  tls: {certificate: c.pem, key: k.pem, clientAuthority: a.pem}
  connectionsMax: 100
http:
  address: 0.0.0.0:7430
  tls: {certificate: c.pem, key: k.pem}
  connectionsMax: 10
  requestSeconds: 5
peer: {address: 0.0.0.0:7431, connectionsMax: 20}
pool: {size: 100GiB, nodeCache: 268435456, collectAboveRatio: 1.5, scrubPace: 10MiB, pageThreads: 3}
volumes:
  slow: {layers: [{layer: rate, writeBytesPerSecond: 1MiB}]}
`);
  assert.deepEqual(settings.peer, { address: { host: "0.0.0.0", port: 7431 }, connectionsMax: 20 });
  assert.deepEqual(settings.nbd.tls, {
    certificate: "c.pem",
    key: "k.pem",
    clientAuthority: "a.pem",
    isRequired: true,
  });
  assert.deepEqual(settings.http.tls, { certificate: "c.pem", key: "k.pem" });
  assert.equal(settings.http.requestTimeoutMs, 5000);
  assert.deepEqual(settings.pool, {
    sizeBytes: 100 * 2 ** 30,
    nodeCacheBytes: 2 ** 28,
    collectAboveRatio: 1.5,
    scrubBytesPerSecond: 10 * 2 ** 20,
    pageThreads: 3,
  });
  assert.deepEqual(settings.layers.get("slow")?.description, [
    { layer: "rate", writeBytesPerSecond: "1MiB" },
  ]);
});

test("everything wrong in a file is INVALID_CONFIG and names its line", () => {
  const cases: [string, RegExp][] = [
    ["data: a\nunknown: 1\n", /^ropewalk\.yaml:2: "unknown" is not a setting\.$/],
    ["nbd:\n  addresses: []\n  port: 5\n", /^ropewalk\.yaml:3: "nbd\.port" is not a setting\.$/],
    ["logLevel: loud\n", /^ropewalk\.yaml:1: "logLevel" must be one of debug, info/],
    ["http:\n\n  connectionsMax: many\n", /^ropewalk\.yaml:3: /],
    ["http:\n  connectionsMax: 0\n", /^ropewalk\.yaml:2: /],
    ["pool:\n  size: huge\n", /^ropewalk\.yaml:2: "pool\.size" must be a number of bytes or a size/],
    ["pool:\n  size: 5 potatoes\n", /^ropewalk\.yaml:2: "5 potatoes" is not a size/],
    ["http:\n  address: nowhere\n", /^ropewalk\.yaml:2: "nowhere" is no address/],
    ["volumes:\n  BAD: {layers: []}\n", /^ropewalk\.yaml:2: /],
    ["data: a\ndata: b\n", /^ropewalk\.yaml:2: /],
    ["data: [\n", /^ropewalk\.yaml:\d: /],
    ["- a\n", /^ropewalk\.yaml:1: the file must hold keys and values\.$/],
    ["data: !!binary aGk=\n", /^ropewalk\.yaml/],
  ];
  for (const [text, pattern] of cases)
    assert.throws(
      () => fromFile(text),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "INVALID_CONFIG", text);
        assert.match(error.message, pattern);
        return true;
      },
    );
});

test("any text as a file is settings or INVALID_CONFIG", () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom("nbd:", "  addresses: [a]", "pool: {size: 1}", "&a [*a]", "<<: *a"),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      try {
        return file(lines.join("\n")) !== undefined;
      } catch (error) {
        return (error as { code?: string }).code === "INVALID_CONFIG";
      }
    }),
  );
});

test("a wrong variable or flag is INVALID_CONFIG and named", () => {
  const environment = (name: string, text: string) => () =>
    resolveSettings([settingsOfEnvironment({ [name]: text })]);
  for (const [name, text] of [
    ["ROPEWALK_HTTP", "nowhere"],
    ["ROPEWALK_INSECURE", "maybe"],
    ["ROPEWALK_HTTP_CONNECTIONS_MAX", "1.5"],
    ["ROPEWALK_HTTP_CONNECTIONS_MAX", "0"],
    ["ROPEWALK_POOL_COLLECT_ABOVE_RATIO", "1"],
    ["ROPEWALK_POOL_SIZE", "-1"],
    ["ROPEWALK_LOG_LEVEL", "loud"],
  ] as const)
    assert.throws(environment(name, text), (error: Error & { code: string }) => {
      return error.code === "INVALID_CONFIG" && error.message.startsWith(`${name}: `);
    });
  assert.throws(() => resolveSettings([settingsOfFlags({ "http.address": "x" })]), {
    code: "INVALID_CONFIG",
    message: /^--http: /,
  });
});

test("an address that is not loopback needs TLS that clients must use, or --insecure", () => {
  const tls = "{certificate: c, key: k}";
  for (const text of [
    "http: {address: '0.0.0.0:1'}",
    "nbd: {addresses: ['127.0.0.1:1', '10.0.0.1:1']}",
    "nbd: {addresses: ['example:1']}",
    `nbd: {addresses: ['10.0.0.1:1'], tls: {certificate: c, key: k, required: false}}`,
  ]) {
    assert.throws(() => fromFile(text), { code: "INSECURE_ADDRESS" }, text);
    assert.doesNotThrow(() => fromFile(`${text}\ninsecure: true`), text);
  }
  fromFile(`http: {address: '0.0.0.0:1', tls: ${tls}}`);
  assert.equal(fromFile(`nbd: {addresses: ['10.0.0.1:1'], tls: ${tls}}`).nbd.tls?.isRequired, true);
  assert.equal(fromFile(`nbd: {tls: ${tls}}`).nbd.tls?.isRequired, false);
  assert.throws(() => fromFile("http: {tls: {key: k}}"), { code: "INVALID_CONFIG" });
});

test("--first-volume is a legal name and size", () => {
  assert.deepEqual(parseFirstVolume("vol0:10GiB"), { name: "vol0", sizeBytes: 10 * 2 ** 30 });
  for (const text of ["", "vol0", "vol0:", ":1GiB", "VOL:1GiB", "vol0:1", "vol0:-1"])
    assert.throws(() => parseFirstVolume(text), { code: "INVALID_CONFIG" }, text);
});

test("docs/config.schema.json is what files are checked against", () => {
  assert.deepEqual(JSON.parse(document("config.schema.json")), JSON.parse(JSON.stringify(configSchema())));
});

test("docs/operating/configuration.md names every variable, flag and key", () => {
  const text = document("operating/configuration.md");
  for (const [key, { environment, flag }] of Object.entries(SETTING_NAMES)) {
    assert.ok(text.includes(`\`${key}\``), key);
    assert.ok(text.includes(`\`${environment}\``), environment);
    if (flag) assert.ok(text.includes(`\`${flag}`), flag);
  }
});
