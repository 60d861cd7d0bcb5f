import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfigFile } from "./config-file.ts";
import { settingsOfEnvironment } from "./given-settings.ts";
import { resolveSettings } from "./settings.ts";

const fromFile = (text: string) => resolveSettings([parseConfigFile({ path: "ropewalk.yaml", text })]);

test("a file can set everything about tokens", () => {
  const {
    tokens: { routes: _, ...tokens },
  } = fromFile(`
tokens:
  ttlSeconds: 60
  ttlSecondsMax: 600
  inactivitySeconds: 0
  countMax: 100
  memoryMax: 1MiB
  heldMax: 1GiB
  savedPerSecondMax: 1MiB
  movedPerSecondMax: 2MiB
  transferSecondsMax: 30
  poolFreeMin: 0
  pinsMax: 10
  preservedMax: 3MiB
  checksumMax: 0
  runningWrites: abort
  allowUnprotected: true
  endWithVolume: false
  endWithSession: true
  choose: least-loaded
  unknownCompanions: ignore
  hashSearchBytes: 1GiB
`);
  assert.deepEqual(tokens, {
    ttlMs: 60_000,
    ttlMsMax: 600_000,
    inactivityMs: 0,
    countMax: 100,
    memoryBytesMax: 2 ** 20,
    heldBytesMax: 2 ** 30,
    savedBytesPerSecondMax: 2 ** 20,
    movedBytesPerSecondMax: 2 ** 21,
    transferMsMax: 30_000,
    poolFreeBytesMin: 0,
    pinsMax: 10,
    preservedBytesMax: 3 * 2 ** 20,
    checksumBytesMax: 0,
    runningWrites: "abort",
    allowUnprotected: true,
    endWithVolume: false,
    endWithSession: true,
    choose: "least-loaded",
    unknownCompanions: "ignore",
    hashSearchBytes: 2 ** 30,
  });
});

test("so can the environment, in part", () => {
  const { tokens } = resolveSettings([
    settingsOfEnvironment({ ROPEWALK_TOKENS_TTL_SECONDS: "5", ROPEWALK_TOKENS_END_WITH_VOLUME: "true" }),
  ]);
  assert.equal(tokens.ttlMs, 5000);
  assert.equal(tokens.endWithVolume, true);
  assert.equal(tokens.countMax, undefined);
});

test("what is out of its range is INVALID_CONFIG", () => {
  for (const text of [
    "ttlSeconds: 0",
    "runningWrites: stop",
    "unknownCompanions: keep",
    "choose: best",
    "countMax: 0",
    "ttlSecondsMax: 31536001",
  ])
    assert.throws(() => fromFile(`tokens: {${text}}`), { code: "INVALID_CONFIG" }, text);
  assert.throws(() => fromFile("tokens: {ttlSeconds: 61, ttlSecondsMax: 60}"), {
    code: "INVALID_CONFIG",
    message: /above tokens\.ttlSecondsMax/,
  });
  assert.throws(() => resolveSettings([settingsOfEnvironment({ ROPEWALK_TOKENS_RUNNING_WRITES: "stop" })]), {
    code: "INVALID_CONFIG",
  });
});
