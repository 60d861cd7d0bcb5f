// A token room with volumes to make tokens of, for whoever tries to forge them: in process, on a simulated pool, with
// a room of another key and one of the same key beside it.
import type { BlockDevice, OffloadReadRequest } from "../../src/device/mod.ts";
import { TokenRoom } from "../../src/offload/mod.ts";
import { patternBytes, type SimulatedPool, withSimulatedPool } from "../support/simulated-pool.ts";

export const SOURCE_BYTES = 65_536;
/** What ends the tokens that only time ends. */
export const BRIEF_MS = 1000;
const LONG_MS = 86_400_000;
const TURNS_MAX = 1_000_000_000;
const KEY = new Uint8Array(32).fill(7);
const OTHER_KEY = new Uint8Array(32).fill(8);

export class ForgeriesRoom {
  readonly room: TokenRoom;
  readonly otherKey: TokenRoom;
  /** Its tokens verify in `room`, which does not know them. */
  readonly sameKey: TokenRoom;
  readonly #simulated: SimulatedPool;
  /** Zeros, as long as nothing was accepted. */
  target!: BlockDevice;

  private constructor(simulated: SimulatedPool, rooms: readonly TokenRoom[]) {
    this.#simulated = simulated;
    [this.room, this.otherKey, this.sameKey] = rooms as [TokenRoom, TokenRoom, TokenRoom];
  }

  static async with(body: (forgeries: ForgeriesRoom) => Promise<void>): Promise<void> {
    await withSimulatedPool(
      async (simulated) => {
        const { clock, random } = simulated.world;
        const rooms: TokenRoom[] = [];
        for (const key of [KEY, OTHER_KEY, KEY])
          rooms.push(await TokenRoom.open({ pool: simulated.pool, clock, random, key, report: () => {} }));
        const made = new ForgeriesRoom(simulated, rooms);
        await simulated.pool.createVolume({ name: "target", sizeBytes: SOURCE_BYTES });
        made.target = made.over("target");
        await body(made);
      },
      { turnsMax: TURNS_MAX },
    );
  }

  get pins(): number {
    return this.#simulated.pool.pins().length;
  }

  /** A new volume of data, open. */
  async source(name: string, seed: number): Promise<BlockDevice> {
    await this.#simulated.pool.createVolume({ name, sizeBytes: SOURCE_BYTES });
    const device = this.over(name);
    await device.write(0, patternBytes(SOURCE_BYTES, seed), 0);
    return device;
  }

  over(name: string, room = this.room): BlockDevice {
    return room.overPool({ volume: name }, this.#simulated.pool.openVolume(name));
  }

  async remove(name: string, device: BlockDevice): Promise<void> {
    await device.close();
    await this.#simulated.pool.deleteVolume(name);
  }

  pause(delayMs: number): Promise<void> {
    return this.#simulated.pause(delayMs);
  }
}

/** A token and what came with it, of the whole device. */
export async function bindToken(
  device: BlockDevice,
  request: Partial<OffloadReadRequest> = {},
): Promise<{ token: Uint8Array; companion: Uint8Array | undefined }> {
  const { tokens } = await device.offload!.read({
    ranges: [{ offsetBytes: 0, lengthBytes: SOURCE_BYTES }],
    policy: "preserve",
    ttlMs: LONG_MS,
    inactivityMs: 0,
    persistent: false,
    deleteOnUse: false,
    priority: 0,
    provider: { skip: 0 },
    withChecksums: false,
    creator: "forger",
    isProtected: true,
    ...request,
  });
  return { token: tokens[0]!.token, companion: tokens[1]?.token };
}

export function writeToken(
  device: BlockDevice,
  token: Uint8Array,
  companions: readonly Uint8Array[] = [],
): Promise<{ lengthBytes: number }> {
  return device.offload!.write({
    tokens: [token],
    companions,
    tokenOffsetBytes: 0,
    ranges: [{ offsetBytes: 0, lengthBytes: SOURCE_BYTES }],
    fua: false,
    isProtected: true,
  });
}
