// Volumes of a small pool behind iSCSI targets with token copies: `small` has blocks of 512 bytes, `large` of 4096.
import { IscsiServer, type ServedTarget, UnitTargets } from "../../src/frontend/iscsi/mod.ts";
import { hostClock, hostRandom, SocketNetwork } from "../../src/host/mod.ts";
import { type GivenTokenSettings, TOKEN_KEY_BYTES, TokenRoom } from "../../src/offload/mod.ts";
import { CopySession } from "./copy-session.ts";
import { DirectInitiator } from "./direct-initiator.ts";
import { IscsiInitiator } from "./iscsi-initiator.ts";
import { openSmallPool, type SmallPool } from "./small-pool.ts";

const BLOCK_BYTES = { small: 512, large: 4096 } as const;
export type CopyVolume = keyof typeof BLOCK_BYTES;
export const COPY_VOLUMES = Object.keys(BLOCK_BYTES) as CopyVolume[];

export interface CopyTargetOptions {
  readonly sizeBytes?: number;
  readonly settings?: GivenTokenSettings;
}

/** What a daemon makes of a pool. */
interface Service {
  readonly tokens: TokenRoom;
  readonly targets: UnitTargets;
  readonly server: IscsiServer;
  readonly portal: string;
}

export class CopyTarget implements AsyncDisposable {
  readonly #small: SmallPool;
  readonly #settings: GivenTokenSettings;
  #service: Service;
  #sessions: (() => Promise<void>)[] = [];

  private constructor(small: SmallPool, settings: GivenTokenSettings, service: Service) {
    this.#small = small;
    this.#settings = settings;
    this.#service = service;
  }

  static async start({ sizeBytes = 16 * 2 ** 20, settings = {} }: CopyTargetOptions = {}) {
    const small = await openSmallPool();
    for (const name of COPY_VOLUMES) await small.pool.createVolume({ name, sizeBytes });
    return new CopyTarget(small, settings, await serve(small.pool, settings));
  }

  get pool(): SmallPool["pool"] {
    return this.#small.pool;
  }

  get tokens(): TokenRoom {
    return this.#service.tokens;
  }

  /** A session of libiscsi. */
  async connect(volume: CopyVolume): Promise<CopySession> {
    const { portal } = this.#service;
    const initiator = await IscsiInitiator.connect({ portal, target: targetName(volume) });
    this.#sessions.push(() => initiator.logout());
    return new CopySession(initiator, BLOCK_BYTES[volume]);
  }

  /** A session without transport. */
  async connectDirectly(volume: CopyVolume, { isProtected }: { isProtected: boolean }) {
    const name = targetName(volume);
    const opened = await this.#service.targets.open(name, "iqn.2026-11.io.ropewalk:direct");
    const initiator = await DirectInitiator.connect(opened.scsi, { name, isProtected });
    this.#sessions.push(async () => {
      initiator.close();
      await opened.close();
    });
    return initiator;
  }

  /** Ends all sessions, and serves the same pool anew. */
  async restart(): Promise<void> {
    await this.#stop();
    this.#service = await serve(this.pool, this.#settings);
  }

  async #stop(): Promise<void> {
    for (const end of this.#sessions) await end();
    this.#sessions = [];
    await this.#service.server.close({ graceMs: 1_000 });
    await this.#service.tokens.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#small[Symbol.asyncDispose]();
  }
}

async function serve(pool: SmallPool["pool"], settings: GivenTokenSettings): Promise<Service> {
  const tokens = await TokenRoom.open({
    pool,
    clock: hostClock,
    random: hostRandom,
    key: new Uint8Array(TOKEN_KEY_BYTES).fill(7),
    settings,
    report: () => undefined,
  });
  const served = COPY_VOLUMES.map((volume): ServedTarget => {
    const rules = { users: [], mutual: undefined, initiators: [], blockBytes: BLOCK_BYTES[volume] };
    return { name: targetName(volume), volume, uuid: pool.volume(volume).uuid, rules, trimReadsZeros: true };
  });
  const targets = new UnitTargets({
    targets: {
      list: () => served,
      find: (name) => served.find((target) => target.name === name),
      open: (volume) => tokens.overPool({ volume }, pool.openVolume(volume)),
    },
    portals: [{ address: "127.0.0.1:0", portalGroupTag: 1, relativePort: 1 }],
    reservations: () => ({ load: async () => undefined, save: async () => undefined }),
    clock: hostClock,
    tokens,
  });
  const server = new IscsiServer({ targets, clock: hostClock, random: hostRandom });
  const address = await server.listen(
    new SocketNetwork(),
    { kind: "tcp", host: "127.0.0.1", port: 0 },
    { portalGroupTag: 1, relativePort: 1 },
  );
  const portal = `127.0.0.1:${address.kind === "tcp" ? address.port : 0}`;
  return { tokens, targets, server, portal };
}

function targetName(volume: CopyVolume): string {
  return `iqn.2026-11.io.ropewalk:${volume}`;
}
