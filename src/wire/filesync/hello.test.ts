// HELLO: both ends read the same, and prove by it that they know the key.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fixed, hello, welcome } from "../../../test/support/filesync-arbitraries.ts";
import { type Frame, FrameReader } from "./frame-reader.ts";
import { type Hello, helloMac, isSameMac, NO_MAC, type Welcome, welcomeMac } from "./hello.ts";
import { packReply, readReply } from "./reply.ts";
import { packRequest, readRequest } from "./request.ts";
import { refusedWith } from "./testing/hostile-bytes.ts";

const refused = { code: "PROTOCOL_ERROR" };
const HELLO: Hello = {
  version: 2,
  role: "main",
  connection: 0,
  connections: 4,
  target: "backup",
  synchronization: new Uint8Array(16).fill(1),
  nonce: new Uint8Array(32).fill(2),
  modes: ["full", "attributes"],
  deletes: "trash",
  sourceHost: "host",
  sourceDirectory: "/srv",
  mac: NO_MAC,
};

function frame(parts: readonly Uint8Array[]): Frame {
  return new FrameReader({ bytesMax: 65_536 }).push(Buffer.concat(parts))[0]!;
}

function sent(hello: Hello): Hello {
  const request = readRequest(frame(packRequest(1, { type: "hello", hello })));
  assert.ok(request.type === "hello");
  return request.hello;
}

function sentWelcome(welcome: Welcome): Welcome {
  const reply = readReply(frame(packReply(1, { type: "hello", stage: "welcome", welcome })), "hello");
  assert.ok("stage" in reply && reply.stage === "welcome");
  return reply.welcome;
}

function changed(at: number, value: number): Frame {
  const good = frame(packRequest(1, { type: "hello", hello: HELLO }));
  good.payload[at] = value;
  return good;
}

test("the target finds the source's proof right over what it read, whatever the texts for people are", () => {
  const mac = new Uint8Array(32).fill(9);
  fc.assert(
    fc.property(hello, welcome, fixed(32), fixed(32), (hello, welcome, nonce, key) => {
      const read = sent({ ...hello, mac });
      assert.deepEqual(helloMac(key, read, nonce), helloMac(key, hello, nonce));
      const readWelcome = sentWelcome({ ...welcome, mac });
      assert.deepEqual(
        welcomeMac(key, { hello, targetNonce: nonce, welcome: readWelcome }),
        welcomeMac(key, { hello: read, targetNonce: nonce, welcome }),
      );
    }),
  );
});

test("a proof is good for one key, one pair of nonces, one HELLO and one direction", () => {
  const key = new Uint8Array(32).fill(3);
  const nonce = new Uint8Array(32).fill(4);
  const welcome: Welcome = {
    version: 2,
    mac: NO_MAC,
    abilities: {
      extendedAttributes: true,
      accessControlLists: true,
      deviceNodes: false,
      ownership: false,
      foldsCase: false,
      modeBits: 0o777,
      timeStepNanoseconds: 2e9,
      nameBytesMax: 255,
      freeBytes: 1,
    },
  };
  const otherNonce = new Uint8Array(32).fill(5);
  const proofs = [
    helloMac(key, HELLO, nonce),
    helloMac(otherNonce, HELLO, nonce),
    helloMac(key, HELLO, otherNonce),
    helloMac(key, { ...HELLO, nonce: otherNonce }, nonce),
    helloMac(key, { ...HELLO, target: "backup2" }, nonce),
    helloMac(key, { ...HELLO, deletes: "mirror" }, nonce),
    helloMac(key, { ...HELLO, connection: 1, role: "sync" }, nonce),
    welcomeMac(key, { hello: HELLO, targetNonce: nonce, welcome }),
    welcomeMac(key, { hello: HELLO, targetNonce: otherNonce, welcome }),
    welcomeMac(key, { hello: { ...HELLO, nonce: otherNonce }, targetNonce: nonce, welcome }),
    welcomeMac(key, {
      hello: HELLO,
      targetNonce: nonce,
      welcome: { ...welcome, abilities: { ...welcome.abilities, ownership: true } },
    }),
  ];
  for (const [index, proof] of proofs.entries())
    for (const [other, another] of proofs.entries()) assert.equal(isSameMac(proof, another), index === other);
  assert.equal(isSameMac(proofs[0]!, proofs[0]!.subarray(1)), false);
  assert.deepEqual(helloMac(key, { ...HELLO, mac: proofs[0]! }, nonce), proofs[0]);
});

test("texts for people are cut between characters and lose their control characters", () => {
  const read = sent({ ...HELLO, sourceHost: `${"h".repeat(254)}ä`, sourceDirectory: "/a\n\u001b[2J\ud800b" });
  assert.equal(read.sourceHost, "h".repeat(254));
  assert.equal(read.sourceDirectory, "/a  [2J\ufffdb");
});

test("another version is told as PEER_VERSION, whatever stands behind it", () => {
  const later = changed(4, 3);
  assert.throws(() => readRequest(later), { code: "PEER_VERSION" });
  assert.throws(() => readRequest({ ...later, payload: later.payload.slice(0, 6) }), {
    code: "PEER_VERSION",
  });
  const reply = frame(packReply(1, { type: "hello", stage: "challenge", nonce: HELLO.nonce }));
  const welcome = new Uint8Array([1, 3, 0, 77]);
  assert.throws(() => readReply({ ...reply, payload: welcome }, "hello"), { code: "PEER_VERSION" });
});

test("every field of HELLO is held to its limits", () => {
  const wrong: [sentence: string, at: number, value: number][] = [
    ["it does not begin with RWFS", 0, 0],
    ["there is no role 2", 6, 2],
    ["connection 0, and no other, is the main one", 6, 1],
    ["connection 0, and no other, is the main one", 7, 1],
    ["connection 4 of 4, where 1 to 16 are allowed", 7, 4],
    ["connection 0 of 0, where 1 to 16 are allowed", 8, 0],
    ["connection 0 of 17, where 1 to 16 are allowed", 8, 17],
    ["there are no modes 8", 9, 8],
    ["there is no policy of deletes 3", 10, 3],
    ["a byte that must be zero is not", 11, 1],
    ["the target's name of 64 bytes, more than 63", 92, 64],
    ["what it calls the target is no name", 94, 0x2f],
    ["the source's host of 260 bytes, more than 255", 101, 1],
    ["the source's directory of 4356 bytes, more than 4096", 107, 17],
  ];
  assert.deepEqual(readRequest(changed(0, 0x52)), { type: "hello", hello: HELLO });
  for (const [sentence, at, value] of wrong)
    assert.throws(() => readRequest(changed(at, value)), refusedWith(sentence));
  const good = changed(0, 0x52);
  assert.throws(() => readRequest({ ...good, payload: new Uint8Array([...good.payload, 0]) }), refused);
});

test("a target whose limits are none is refused", () => {
  const reply = frame(packReply(1, { type: "hello", stage: "challenge", nonce: HELLO.nonce }));
  const refused = (sentence: string, limits: { names?: number; bits?: number; step?: number }) => {
    const welcome = Buffer.alloc(1 + 55);
    welcome.writeUInt8(1, 0);
    welcome.writeUInt16LE(2, 1);
    welcome.writeUInt16LE(limits.bits ?? 0, 1 + 39);
    welcome.writeUInt32LE(limits.step ?? 1, 1 + 41);
    welcome.writeUInt16LE(limits.names ?? 255, 1 + 45);
    assert.throws(() => readReply({ ...reply, payload: welcome }, "hello"), refusedWith(sentence));
  };
  for (const names of [0, 256]) refused(`names of ${names} bytes are no limit`, { names });
  refused("a mode has no bits 10000", { bits: 0o10000 });
  for (const step of [0, 2, 2 ** 32 - 1]) refused(`times in steps of ${step} ns are kept nowhere`, { step });
});
