import assert from "node:assert/strict";
import { test } from "node:test";
import { type BlockDevice, MemoryDevice } from "../../device/mod.ts";
import { hostClock } from "../../host/mod.ts";
import { type ScsiNexus, ScsiStatus, type ScsiTarget } from "./scsi-target.ts";
import { type ServedTarget, UnitTargets } from "./unit-targets.ts";

const PREFIX = "iqn.2026-11.io.ropewalk:";
const HOST = "iqn.2004-10.com.example:host";
const OPEN = { users: [], mutual: undefined, initiators: [], blockBytes: 512 };

class World {
  readonly served = new Map<string, ServedTarget>();
  readonly devices: MemoryDevice[] = [];
  readonly saved = new Map<string, string>();
  minimumBlockBytes = 1;
  openDevices = 0;
  readonly targets = new UnitTargets({
    targets: {
      list: () => [...this.served.values()],
      find: (name) => [...this.served.values()].find((each) => each.name === name),
      open: () => this.#open(),
    },
    portals: [{ address: "127.0.0.1:3260", portalGroupTag: 1, relativePort: 1 }],
    reservations: (uuid) => ({
      load: async () => this.saved.get(uuid),
      save: async (text) => void this.saved.set(uuid, text),
    }),
    clock: hostClock,
    tokens: undefined,
  });

  serve(volume: string, rules: Partial<ServedTarget["rules"]> = {}, uuid = `uuid-of-${volume}`): void {
    const target = {
      name: PREFIX + volume,
      volume,
      uuid,
      rules: { ...OPEN, ...rules },
      trimReadsZeros: true,
    };
    this.served.set(volume, target);
  }

  #open(): BlockDevice {
    const { minimumBlockBytes } = this;
    const device = new MemoryDevice({ sizeBytes: 2 ** 20, geometry: { minimumBlockBytes } });
    this.devices.push(device);
    this.openDevices++;
    device.close = async () => void this.openDevices--;
    return device;
  }
}

let sessions = 0;

function nexusWith(volume: string, initiator = HOST): ScsiNexus {
  return {
    number: ++sessions,
    initiator,
    initiatorPort: `${initiator},i,0x00023d000001`,
    targetPort: `${PREFIX}${volume},t,0x0001`,
    portalGroupTag: 1,
    relativePort: 1,
    isProtected: true,
  };
}

function execute(scsi: ScsiTarget, nexus: ScsiNexus, cdb: number[], dataOut = Buffer.alloc(0)) {
  const padded = Buffer.alloc(16);
  padded.set(cdb);
  const { signal } = new AbortController();
  return scsi.execute({ nexus, lun: 0, cdb: padded, dataOut, dataInBytesMax: 4096, signal });
}

/** PERSISTENT RESERVE OUT, REGISTER of key 5 without APTPL. */
async function register(scsi: ScsiTarget, nexus: ScsiNexus): Promise<number> {
  const list = Buffer.alloc(24);
  list.writeBigUInt64BE(5n, 8);
  return (await execute(scsi, nexus, [0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24], list)).status;
}

/** PERSISTENT RESERVE IN, READ KEYS: how many bytes of keys there are. */
async function keysBytes(scsi: ScsiTarget, nexus: ScsiNexus): Promise<number> {
  const { dataIn } = await execute(scsi, nexus, [0x5e, 0x00, 0, 0, 0, 0, 0, 1, 0]);
  return Buffer.from(dataIn!).readUInt32BE(4);
}

/** The unit attention of a new nexus is taken, so that commands run. */
async function opened(scsi: ScsiTarget, nexus: ScsiNexus): Promise<void> {
  scsi.opened(nexus);
  const { status } = await execute(scsi, nexus, [0x00]);
  assert.equal(status, ScsiStatus.checkCondition);
}

test("all sessions of a target share one device, which closes with the last of them", async () => {
  const world = new World();
  world.serve("v");
  const [one, other] = await Promise.all([
    world.targets.open(`${PREFIX}v`, HOST),
    world.targets.open(`${PREFIX}v`, HOST),
  ]);
  assert.deepEqual([world.devices.length, world.openDevices, one.auth], [1, 1, "none"]);
  await one.close();
  await one.close();
  assert.equal(world.openDevices, 1);
  await other.close();
  assert.equal(world.openDevices, 0);
});

test("a registration outlives the session, and the device opens again for the next", async () => {
  const world = new World();
  world.serve("v");
  const first = await world.targets.open(`${PREFIX}v`, HOST);
  const nexus = nexusWith("v");
  await opened(first.scsi, nexus);
  assert.equal(await register(first.scsi, nexus), ScsiStatus.good);
  first.scsi.closed(nexus);
  await first.close();
  assert.equal(world.openDevices, 0);

  const second = await world.targets.open(`${PREFIX}v`, HOST);
  const next = nexusWith("v");
  await opened(second.scsi, next);
  assert.equal(await keysBytes(second.scsi, next), 8);
  assert.deepEqual([world.devices.length, world.openDevices], [2, 1]);
  await second.close();
});

test("a new volume of an old name has none of the old one's registrations", async () => {
  const world = new World();
  world.serve("v");
  const first = await world.targets.open(`${PREFIX}v`, HOST);
  const nexus = nexusWith("v");
  await opened(first.scsi, nexus);
  await register(first.scsi, nexus);
  await first.close();
  world.serve("v", {}, "another-uuid");
  const second = await world.targets.open(`${PREFIX}v`, HOST);
  const next = nexusWith("v");
  await opened(second.scsi, next);
  assert.equal(await keysBytes(second.scsi, next), 0);
  await second.close();
});

test("who is not on a target's list is refused and opens nothing", async () => {
  const world = new World();
  world.serve("v", { initiators: [HOST] });
  await (await world.targets.open(`${PREFIX}v`, HOST.toUpperCase())).close();
  await assert.rejects(world.targets.open(`${PREFIX}v`, `${HOST}2`), { code: "UNAUTHORIZED" });
  await assert.rejects(world.targets.open(`${PREFIX}none`, HOST), { code: "NOT_FOUND" });
  assert.equal(world.devices.length, 1);
});

test("users and the target's own name become CHAP accounts", async () => {
  const world = new World();
  const users = [{ user: "u", secret: "twelve-bytes" }];
  const mutual = { user: "m", secret: "other-twelve-bytes" };
  world.serve("v", { users, mutual });
  world.serve("w", { users });
  const both = await world.targets.open(`${PREFIX}v`, HOST);
  const one = await world.targets.open(`${PREFIX}w`, HOST);
  assert.deepEqual(both.auth, { incoming: users, outgoing: mutual });
  assert.deepEqual(one.auth, { incoming: users });
  await Promise.all([both.close(), one.close()]);
});

test("a volume that cannot be opened fails the login and is tried anew by the next", async () => {
  const world = new World();
  world.serve("v");
  const targets = new UnitTargets({
    targets: {
      list: () => [...world.served.values()],
      find: () => world.served.get("v"),
      open: () => {
        if (world.devices.length > 0) return world.devices[0]!;
        world.devices.push(new MemoryDevice({ sizeBytes: 2 ** 20 }));
        throw new Error("not yet");
      },
    },
    portals: [],
    reservations: () => ({ load: async () => undefined, save: async () => {} }),
    clock: hostClock,
    tokens: undefined,
  });
  await assert.rejects(targets.open(`${PREFIX}v`, HOST), /not yet/);
  await (await targets.open(`${PREFIX}v`, HOST)).close();
});

test("a device whose smallest block is 4096 bytes is served with such blocks, whatever was configured", async () => {
  const world = new World();
  world.minimumBlockBytes = 4096;
  world.serve("large");
  const { scsi, close } = await world.targets.open(`${PREFIX}large`, HOST);
  const nexus = nexusWith("large");
  scsi.opened(nexus);
  const capacity = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
  let reply = await execute(scsi, nexus, capacity);
  // The first command hears that the unit is new.
  if (reply.status === ScsiStatus.checkCondition) reply = await execute(scsi, nexus, capacity);
  assert.equal(reply.status, ScsiStatus.good);
  assert.equal(Buffer.from(reply.dataIn!).readUInt32BE(8), 4096);
  scsi.closed(nexus);
  await close();
});
