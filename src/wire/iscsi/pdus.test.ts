import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RopewalkError } from "../../base/errors.ts";
import {
  BASIC_HEADER_BYTES,
  dataInPdu,
  decodeAdditionalHeaders,
  decodeInitiatorPdu,
  decodeTargetPdu,
  encodeAdditionalHeaders,
  InitiatorOpcode,
  isInitiatorOpcode,
  lunNumber,
  lunWords,
  scsiCommandPdu,
  serialDistance,
  serialPlus,
  TargetOpcode,
} from "./mod.ts";

const INITIATOR_OPCODES = Object.values(InitiatorOpcode);
const TARGET_OPCODES = Object.values(TargetOpcode);

const header = fc.uint8Array({ minLength: BASIC_HEADER_BYTES, maxLength: BASIC_HEADER_BYTES });

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** What `action` throws may only be PROTOCOL_ERROR. */
function orProtocolError(action: () => void): void {
  try {
    action();
  } catch (error) {
    assert.equal(error instanceof RopewalkError && error.code, "PROTOCOL_ERROR");
  }
}

test("a SCSI command as a Linux initiator sends it is read and written back", () => {
  const bytes = Buffer.from(
    "01c10000000000000000000000000000" +
      "1000001600001000000000200000002a" +
      "28000000100000000800000000000000",
    "hex",
  );
  const pdu = scsiCommandPdu.decode(viewOf(bytes), 0);
  assert.equal(pdu.final && pdu.read && !pdu.write, true);
  assert.equal(pdu.attribute, 1);
  assert.equal(pdu.expectedBytes, 4096);
  assert.equal(pdu.commandNumber, 0x20);
  assert.equal(pdu.expectedStatusNumber, 0x2a);
  assert.deepEqual([...pdu.cdb.subarray(0, 10)], [0x28, 0, 0, 0, 0x10, 0, 0, 0, 8, 0]);
  const again = Buffer.alloc(BASIC_HEADER_BYTES, 0xff);
  scsiCommandPdu.encode(viewOf(again), 0, pdu);
  assert.deepEqual(again, bytes);
});

test("a data-in with status is written as the standard draws it", () => {
  const bytes = Buffer.alloc(BASIC_HEADER_BYTES, 0xff);
  dataInPdu.encode(viewOf(bytes), 0, {
    final: true,
    hasStatus: true,
    underflow: true,
    initiatorTaskTag: 7,
    targetTransferTag: 0xffffffff,
    statusNumber: 1,
    expectedCommandNumber: 2,
    commandNumberMax: 3,
    bufferOffset: 512,
    residualBytes: 9,
    dataBytes: 24,
  });
  assert.equal(
    bytes.toString("hex"),
    "258300000000001800000000000000000000" +
      "0007ffffffff" +
      "000000010000000200000003000000000000020000000009",
  );
});

test("every PDU of an initiator that is decoded is encoded to the same value", () => {
  fc.assert(
    fc.property(header, fc.constantFrom(...INITIATOR_OPCODES), (bytes, opcode) => {
      bytes[0] = (bytes[0]! & 0xc0) | opcode;
      const pdu = decodeInitiatorPdu(viewOf(bytes), 0);
      assert.equal(pdu.opcode, opcode);
      const again = new Uint8Array(BASIC_HEADER_BYTES + 5);
      encodeAny(pdu, again, 5);
      assert.deepEqual(decodeInitiatorPdu(viewOf(again), 5), pdu);
    }),
  );
});

test("every PDU of a target that is decoded is encoded to the same value", () => {
  fc.assert(
    fc.property(header, fc.constantFrom(...TARGET_OPCODES), (bytes, opcode) => {
      bytes[0] = (bytes[0]! & 0xc0) | opcode;
      const pdu = decodeTargetPdu(viewOf(bytes), 0);
      const again = new Uint8Array(BASIC_HEADER_BYTES);
      encodeAny(pdu, again, 0);
      assert.deepEqual(decodeTargetPdu(viewOf(again), 0), pdu);
    }),
  );
});

test("arbitrary bytes are decoded or are a protocol error", () => {
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 64 }), (bytes, additional) => {
      orProtocolError(() => decodeInitiatorPdu(viewOf(bytes), 0));
      orProtocolError(() => decodeTargetPdu(viewOf(bytes), 0));
      orProtocolError(() => decodeAdditionalHeaders(additional));
      assert.equal(
        isInitiatorOpcode(bytes[0]! & 0x3f),
        INITIATOR_OPCODES.includes((bytes[0]! & 0x3f) as (typeof INITIATOR_OPCODES)[number]),
      );
    }),
  );
});

test("additional headers come back as they were", () => {
  const cdb = fc.option(fc.uint8Array({ minLength: 1, maxLength: 240 }), { nil: undefined });
  const read = fc.option(fc.nat(0xffffffff), { nil: undefined });
  fc.assert(
    fc.property(cdb, read, (extendedCdb, readBytes) => {
      const bytes = encodeAdditionalHeaders({ extendedCdb, readBytes });
      assert.equal(bytes.length % 4, 0);
      assert.deepEqual(decodeAdditionalHeaders(bytes), { extendedCdb, readBytes });
    }),
  );
});

test("an additional header of an unknown type, or the same type twice, is a protocol error", () => {
  const one = encodeAdditionalHeaders({ extendedCdb: undefined, readBytes: 5 });
  for (const bytes of [Uint8Array.of(0, 1, 9, 0), Buffer.concat([one, one]), one.subarray(0, 4)])
    assert.throws(() => decodeAdditionalHeaders(bytes), { code: "PROTOCOL_ERROR" });
});

test("serial numbers are compared across their end", () => {
  assert.equal(serialPlus(0xffffffff, 1), 0);
  assert.equal(serialDistance(0xfffffffe, 3), 5);
  assert.equal(serialDistance(3, 0xfffffffe), -5);
});

test("LUNs of one level have a number, others have none", () => {
  for (const number of [0, 1, 255, 256, 16383]) {
    const words = lunWords(number)!;
    assert.equal(lunNumber(words.high, words.low), number);
  }
  assert.equal(lunWords(16384), undefined);
  // Another bus, a second level, a well-known logical unit.
  assert.equal(lunNumber(0x01000000, 0), undefined);
  assert.equal(lunNumber(0x00010001, 0), undefined);
  assert.equal(lunNumber(0xc1010000, 0), undefined);
});

function encodeAny(pdu: { readonly opcode: number }, bytes: Uint8Array, position: number): void {
  for (const layout of Object.values(layouts)) {
    if (layout.opcode === pdu.opcode) layout.encode(viewOf(bytes), position, pdu);
  }
}

const layouts = Object.fromEntries(
  Object.entries({ ...(await import("./initiator-pdus.ts")), ...(await import("./target-pdus.ts")) }).filter(
    ([name]) => name.endsWith("Pdu") && !name.startsWith("decode"),
  ),
) as unknown as Record<
  string,
  { opcode: number; encode(view: DataView, position: number, pdu: object): void }
>;
