// Reservations with two nexuses, and across a restart.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SteppedClock } from "../../../../test/support/stepped-clock.ts";
import { RopewalkError } from "../../../base/errors.ts";
import { MemoryDevice } from "../../../device/mod.ts";
import type { ScsiCommand } from "../scsi-target.ts";
import { ScsiUnitTarget, type UnitStore } from "./mod.ts";
import { NO_RESERVATIONS, type ReservationState, registrantOf, reserveOut } from "./reservation-state.ts";
import { TestInitiator, testNexus } from "./testing/test-initiator.ts";
import { formatUnit, parseUnit } from "./unit-record.ts";

const CONFLICT = 0x18;
const PORT = { name: "iqn.2026-11.io.ropewalk:vol0,t,0x0001", portalGroupTag: 1, relativePort: 1 };
const KEYS = { first: 0x11n, second: 0x22n };

const RESERVE = 0x01;
const RELEASE = 0x02;
const CLEAR = 0x03;
const PREEMPT = 0x04;
const MOVE = 0x07;

const READ = "28 00 00000000 00 0001";
const WRITE = "2a 00 00000000 00 0001";
const block = new Uint8Array(512);

class MemoryStore implements UnitStore {
  text: string | undefined;
  isBroken = false;

  async load() {
    if (this.isBroken) throw new RopewalkError("IO_ERROR", "The store cannot be read.");
    return this.text;
  }

  async save(text: string) {
    if (this.isBroken) throw new RopewalkError("IO_ERROR", "The store cannot be written.");
    this.text = text;
  }
}

function newTarget(store: UnitStore = new MemoryStore()): ScsiUnitTarget {
  return new ScsiUnitTarget({
    device: new MemoryDevice({ sizeBytes: 1024 * 1024 }),
    blockBytes: 512,
    identity: { name: "vol0", uuid: "6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0" },
    ports: [PORT],
    store,
    clock: new SteppedClock(),
    isWritable: true,
  });
}

async function bench(store?: UnitStore) {
  const target = newTarget(store);
  const first = await TestInitiator.ready(target, testNexus(1));
  const second = await TestInitiator.ready(target, testNexus(2));
  return { target, first, second };
}

interface Out {
  readonly action: number;
  readonly type?: number;
  readonly key?: bigint;
  readonly serviceActionKey?: bigint;
  readonly aptpl?: boolean;
}

function out(
  initiator: TestInitiator,
  { action, type = 0, key = 0n, serviceActionKey = 0n, aptpl = false }: Out,
) {
  const list = new Uint8Array(24);
  const view = new DataView(list.buffer);
  view.setBigUint64(0, key);
  view.setBigUint64(8, serviceActionKey);
  list[20] = aptpl ? 1 : 0;
  const cdb = Uint8Array.of(0x5f, action, type, 0, 0, 0, 0, 0, list.length, 0, 0, 0, 0, 0, 0, 0);
  return initiator.send(cdb, list);
}

async function register(initiator: TestInitiator, serviceActionKey: bigint, aptpl = false) {
  assert.equal((await out(initiator, { action: 0, serviceActionKey, aptpl })).status, 0);
}

async function keysOf(initiator: TestInitiator): Promise<bigint[]> {
  const { data } = await initiator.send("5e 00 00 00 00 00 00 0400");
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Array.from({ length: view.getUint32(4) / 8 }, (_, index) => view.getBigUint64(8 + 8 * index));
}

/** What a nexus may do that is registered, and one that is not, while another holds the reservation. */
const ACCESS_TABLE = [
  { type: 1, registered: ["read"], unregistered: ["read"] },
  { type: 3, registered: [], unregistered: [] },
  { type: 5, registered: ["read", "write"], unregistered: ["read"] },
  { type: 6, registered: ["read", "write"], unregistered: [] },
  { type: 7, registered: ["read", "write"], unregistered: ["read"] },
  { type: 8, registered: ["read", "write"], unregistered: [] },
];

for (const { type, registered, unregistered } of ACCESS_TABLE) {
  test(`a reservation of type ${type} lets in whom SPC-4 says`, async () => {
    const { first, second } = await bench();
    await register(first, KEYS.first);
    assert.equal((await out(first, { action: RESERVE, type, key: KEYS.first })).status, 0);
    const may = async (initiator: TestInitiator) => {
      const allowed: string[] = [];
      if ((await initiator.send(READ)).status === 0) allowed.push("read");
      if ((await initiator.send(WRITE, block)).status === 0) allowed.push("write");
      return allowed;
    };
    assert.deepEqual(await may(second), unregistered);
    await register(second, KEYS.second);
    assert.deepEqual(await may(second), registered);
    assert.deepEqual(await may(first), ["read", "write"]);
    assert.equal((await second.send("00")).status, 0, "TEST UNIT READY is always allowed");
  });
}

test("a registration needs the right key, unless it ignores it", async () => {
  const { first } = await bench();
  await register(first, KEYS.first);
  assert.equal((await out(first, { action: 0, key: 0x99n, serviceActionKey: 5n })).status, CONFLICT);
  assert.equal((await out(first, { action: 6, key: 0x99n, serviceActionKey: 5n })).status, 0);
  assert.deepEqual(await keysOf(first), [5n]);
});

test("RELEASE by the holder tells the other registrants of a type for registrants", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  await register(second, KEYS.second);
  await out(first, { action: RESERVE, type: 5, key: KEYS.first });
  assert.equal((await out(first, { action: RELEASE, type: 1, key: KEYS.first })).sense, "05/26/04");
  assert.equal((await out(second, { action: RELEASE, type: 5, key: KEYS.second })).status, 0, "no effect");
  assert.equal((await out(first, { action: RELEASE, type: 5, key: KEYS.first })).status, 0);
  assert.equal((await second.send("00")).sense, "06/2a/04");
});

test("the holder's end of registration ends its reservation", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  await out(first, { action: RESERVE, type: 3, key: KEYS.first });
  await out(first, { action: 0, key: KEYS.first });
  assert.equal((await second.send(WRITE, block)).status, 0);
});

test("PREEMPT takes the reservation over and throws its holder out", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  await register(second, KEYS.second);
  await out(first, { action: RESERVE, type: 3, key: KEYS.first });
  const preempt = { action: PREEMPT, type: 1, key: KEYS.second, serviceActionKey: KEYS.first };
  assert.equal((await out(second, preempt)).status, 0);
  assert.deepEqual(await keysOf(second), [KEYS.second]);
  assert.equal((await first.send("00")).sense, "06/2a/05");
  assert.equal((await first.send(WRITE, block)).status, CONFLICT);
  assert.equal((await second.send(WRITE, block)).status, 0);
});

test("CLEAR ends everything and tells the others", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  await register(second, KEYS.second);
  await out(first, { action: RESERVE, type: 3, key: KEYS.first });
  assert.equal((await out(second, { action: CLEAR, key: KEYS.second })).status, 0);
  assert.equal((await first.send("00")).sense, "06/2a/03");
  assert.deepEqual(await keysOf(first), []);
});

test("REGISTER AND MOVE gives the reservation to another nexus", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  await out(first, { action: RESERVE, type: 3, key: KEYS.first });
  const name = Buffer.from(second.nexus.initiatorPort);
  const idBytes = Math.max(24, 4 + ((name.length + 4) & ~3));
  const list = new Uint8Array(24 + idBytes);
  const view = new DataView(list.buffer);
  view.setBigUint64(0, KEYS.first);
  view.setBigUint64(8, KEYS.second);
  view.setUint16(18, 1);
  view.setUint32(20, idBytes);
  list[24] = 0x45;
  view.setUint16(26, idBytes - 4);
  list.set(name, 28);
  const cdb = Uint8Array.of(0x5f, MOVE, 0, 0, 0, 0, 0, 0, list.length, 0, 0, 0, 0, 0, 0, 0);
  assert.equal((await first.send(cdb, list)).status, 0);
  assert.equal((await second.send(WRITE, block)).status, 0);
  assert.equal((await first.send(WRITE, block)).status, CONFLICT);
});

test("RESERVE of old belongs to its session, and ends with it", async () => {
  const { first, second } = await bench();
  assert.equal((await first.send("56")).status, 0);
  assert.equal((await second.send("16")).status, CONFLICT);
  assert.equal((await second.send("5e 00 00 00 00 00 00 0400")).status, CONFLICT);
  assert.equal((await second.send("17")).status, 0, "RELEASE by another one has no effect");
  assert.equal((await second.send("00")).status, CONFLICT);
  first.leave();
  assert.equal((await second.send("00")).status, 0);
});

test("RESERVE of old conflicts with registrations, but not for those whom a reservation lets in", async () => {
  const { first, second } = await bench();
  await register(first, KEYS.first);
  assert.equal((await first.send("16")).status, CONFLICT);
  await out(first, { action: RESERVE, type: 1, key: KEYS.first });
  assert.equal((await first.send("16")).status, 0);
  assert.equal((await second.send("16")).status, CONFLICT);
});

test("a reservation with APTPL outlives the daemon, one without does not", async () => {
  for (const aptpl of [true, false]) {
    const store = new MemoryStore();
    const before = await bench(store);
    await register(before.first, KEYS.first, aptpl);
    await out(before.first, { action: RESERVE, type: 3, key: KEYS.first });
    const after = await bench(store);
    assert.deepEqual(await keysOf(after.second), aptpl ? [KEYS.first] : []);
    assert.equal((await after.second.send(WRITE, block)).status, aptpl ? CONFLICT : 0);
    assert.equal((await after.first.send(WRITE, block)).status, 0);
  }
});

test("a reservation that cannot be stored is not made", async () => {
  const store = new MemoryStore();
  const { first } = await bench(store);
  store.isBroken = true;
  assert.equal(
    (await out(first, { action: 0, serviceActionKey: KEYS.first, aptpl: true })).sense,
    "04/44/00",
  );
  assert.deepEqual(await keysOf(first), []);
});

test("nothing runs while the stored reservations cannot be read", async () => {
  const store = new MemoryStore();
  store.isBroken = true;
  const target = newTarget(store);
  const initiator = new TestInitiator(target, testNexus(1));
  assert.equal((await initiator.send(WRITE, block)).sense, "04/44/00");
  store.isBroken = false;
  await initiator.send("00");
  await initiator.send("00");
  assert.equal((await initiator.send(WRITE, block)).status, 0);
});

const anyNexus = fc.record({
  initiatorPort: fc.constantFrom("a", "b", "c"),
  relativePort: fc.constantFrom(1, 2),
});
const anyRequest = fc.record({
  serviceAction: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7),
  scope: fc.constant(0),
  type: fc.constantFrom(1, 3, 5, 6, 7, 8),
  key: fc.bigInt(0n, 2n),
  serviceActionKey: fc.bigInt(0n, 2n),
  isForAllPorts: fc.boolean(),
  from: anyNexus,
  to: anyNexus,
  unregisters: fc.boolean(),
});

test("after any service actions the holder is registered, and the record is read back as it was", () => {
  fc.assert(
    fc.property(fc.array(anyRequest, { maxLength: 40 }), (requests) => {
      let state: ReservationState = NO_RESERVATIONS;
      for (const { key, serviceActionKey, isForAllPorts, to, unregisters, ...request } of requests) {
        const move = { ...to, unregisters };
        const list = { key, serviceActionKey, isForAllPorts, isPersistent: true, move };
        try {
          const outcome = reserveOut(state, { ...request, list, targetPorts: [1, 2] });
          if (outcome !== "conflict") state = outcome.state;
        } catch {
          continue;
        }
        const { reservation, registrants } = state;
        if (reservation?.holder === "all") assert.ok(registrants.length > 0);
        else if (reservation) assert.ok(registrantOf(state, reservation.holder));
        assert.equal(
          new Set(registrants.map((each) => `${each.initiatorPort} ${each.relativePort}`)).size,
          registrants.length,
        );
        const isPersistent = state.isPersistent && registrants.length > 0;
        assert.deepEqual(parseUnit(formatUnit({ reservations: state, sanitize: undefined })).reservations, {
          generation: 0,
          registrants: state.isPersistent ? registrants : [],
          reservation: state.isPersistent ? reservation : undefined,
          isPersistent,
        });
      }
    }),
    { numRuns: 200 },
  );
});

test("a copy manager does not read a unit that another nexus has for itself", async () => {
  const { target, first, second } = await bench();
  assert.equal((await first.send("16")).status, 0);
  const read = ({ nexus }: TestInitiator) => target.copyUnit.checkReadable({ nexus } as ScsiCommand);
  read(first);
  assert.throws(() => read(second), { sense: { key: 0x0a, asc: 0x0d, ascq: 0x02 } });
});

test("a record that is none is an error, never an empty one", () => {
  for (const text of [
    "x",
    "{}",
    '{"registrants":[],"reservation":{"type":3,"holder":"all"}}',
    '{"registrants":[1],"reservation":null}',
    '{"registrants":[],"reservation":null,"sanitize":1}',
    '{"registrants":[],"reservation":null,"sanitize":{"exitAllowed":1}}',
  ])
    assert.throws(() => parseUnit(text), { code: "IO_ERROR" });
});
