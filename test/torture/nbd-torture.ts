// The real daemon under three writers at once (our own verifying one, qemu-io, fio) with snapshots being made
// and deleted, killed with SIGKILL at random and started again, sometimes killed once more while it recovers.
// After every kill: it opens; every acknowledged write is there; no request is torn; snapshots are what they
// were. At the end the scrub finds nothing and the daemon ends in order.
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { readAll } from "../support/block-client.ts";
import { Daemon } from "../support/daemon.ts";
import { NbdBlockClient } from "../support/nbd-block-client.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import type { Checks } from "./checks.ts";
import { ExpectedVolume } from "./expected-volume.ts";
import { FioVerifier } from "./fio-verifier.ts";
import { QemuIoWriter } from "./qemu-io-writer.ts";
import { SnapshotKeeper } from "./snapshot-keeper.ts";
import { VerifyingWriter } from "./verifying-writer.ts";

export interface NbdTortureOptions {
  readonly kills: number;
  readonly seed: number;
  /** Life between two kills, at random from the one to the other. */
  readonly lifeMsMin: number;
  readonly lifeMsMax: number;
}

const MIB = 2 ** 20;
const OWN = { name: "own", sizeBytes: 64 * MIB };
const QEMU = { name: "qemu", sizeBytes: 16 * MIB };
const FIO = { name: "fio", sizeBytes: 128 * MIB };
/** So small that the collector must work while the kills strike. */
const POOL_SIZE = "2GiB";
/** How often a start is cut short as well, and when. */
const RECOVERY_KILL_CHANCE = 0.2;
const RECOVERY_KILL_MS_MAX = 600;
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;
const SCRUB_EVERY_KILLS = 25;

export async function nbdTorture(options: NbdTortureOptions, checks: Checks): Promise<void> {
  using folder = new TemporaryFolder();
  await using daemon = await Daemon.start({ dataDirectory: folder.file("data"), poolSize: POOL_SIZE });
  for (const { name, sizeBytes } of [OWN, QEMU, FIO]) {
    await daemon.cli("volume", "create", name, "--size", String(sizeBytes));
  }
  const torture = new NbdTorture({ ...options, daemon, checks, folder: folder.path });
  for (let kill = 1; kill <= options.kills; kill++) {
    await torture.live(kill);
    await torture.comeBack();
    if (kill % SCRUB_EVERY_KILLS === 0) await torture.scrub();
  }
  await torture.scrub();
  await torture.endInOrder();
}

class NbdTorture {
  readonly #daemon: Daemon;
  readonly #checks: Checks;
  readonly #options: NbdTortureOptions;
  readonly #prng: Prng;
  readonly #expected = new ExpectedVolume(OWN.sizeBytes);
  readonly #snapshots: SnapshotKeeper;
  readonly #qemu: QemuIoWriter;
  readonly #folder: string;
  #requests = 0;

  constructor(options: NbdTortureOptions & { daemon: Daemon; checks: Checks; folder: string }) {
    this.#options = options;
    this.#daemon = options.daemon;
    this.#checks = options.checks;
    this.#folder = options.folder;
    this.#prng = new Prng(options.seed);
    this.#snapshots = new SnapshotKeeper({
      daemon: this.#daemon,
      volume: OWN.name,
      sizeBytes: OWN.sizeBytes,
    });
    this.#qemu = new QemuIoWriter({ sizeBytes: QEMU.sizeBytes, prng: new Prng(options.seed + 1) });
  }

  /** One life of the daemon, from writers at work to SIGKILL and the last of them gone. */
  async live(kill: number): Promise<void> {
    const daemon = this.#daemon;
    const clients = [
      await NbdBlockClient.open(daemon.nbdSocket, OWN.name, "structured"),
      await NbdBlockClient.open({ port: daemon.nbdPort }, OWN.name, "simple"),
    ];
    const writer = new VerifyingWriter({
      clients,
      expected: this.#expected,
      prng: this.#prng,
      nextRequest: () => ++this.#requests,
    });
    const fio = new FioVerifier({ folder: this.#folder, sizeBytes: FIO.sizeBytes });
    let dying = false;
    const isDying = () => dying;
    const atWork = [
      writer.run(),
      this.#qemu.run(daemon.uri(QEMU.name)),
      fio.run(daemon.uri(FIO.name)),
      this.#keepSnapshots(writer, isDying),
    ];
    const { lifeMsMin, lifeMsMax } = this.#options;
    const lifeMs = lifeMsMin + this.#prng.fraction() * (lifeMsMax - lifeMsMin);
    await delay(lifeMs);
    const died = !daemon.running;
    dying = true;
    writer.end();
    this.#qemu.end();
    const outstanding = this.#expected.outstanding;
    await daemon.kill();
    fio.end();
    await Promise.all(atWork);
    this.#checks.check("the daemon lives until it is killed", died ? [daemon.output] : []);
    this.#checks.check("every read returns what was written", writer.problems.splice(0));
    this.#checks.check("qemu-io's writes succeed", this.#qemu.problems.splice(0));
    this.#checks.check("fio reads back what it wrote", fio.problems);
    this.#checks.check("snapshots are exact when they are made", this.#snapshots.problems.splice(0));
    this.#checks.say(
      `kill ${kill} after ${(lifeMs / 1000).toFixed(1)} s: ${writer.acknowledged} requests acknowledged and ` +
        `${outstanding} outstanding, qemu-io ${this.#qemu.written}, ${this.#snapshots.kept} snapshots`,
    );
  }

  async #keepSnapshots(writer: VerifyingWriter, dying: () => boolean): Promise<void> {
    while (!dying()) {
      await delay(200 + this.#prng.fraction() * 800);
      if (!dying()) await this.#snapshots.step({ writer, expected: this.#expected, dying });
    }
  }

  /** Starts it again and compares everything. */
  async comeBack(): Promise<void> {
    const daemon = this.#daemon;
    while (this.#prng.chance(RECOVERY_KILL_CHANCE)) {
      daemon.launch();
      await delay(this.#prng.fraction() * RECOVERY_KILL_MS_MAX);
      await daemon.kill();
    }
    await daemon.start();
    this.#checks.check(
      "the daemon opens in time",
      daemon.startMs > START_MS_MAX ? [`it took ${daemon.startMs.toFixed(0)} ms`] : [],
    );
    await this.#compareAll();
  }

  async #compareAll(): Promise<void> {
    const client = await NbdBlockClient.open(this.#daemon.nbdSocket, OWN.name);
    this.#checks.check(
      "acknowledged requests are there, outstanding ones wholly or not at all",
      this.#expected.settle(await readAll(client, OWN.sizeBytes)),
    );
    await client.close();
    this.#checks.check("snapshots hold what they held", await this.#snapshots.verify());
    this.#checks.check("qemu-io reads what it wrote", await this.#qemu.verify(this.#daemon.uri(QEMU.name)));
  }

  async scrub(): Promise<void> {
    const { code, stdout, stderr } = await this.#daemon.tryCli("scrub", "--json");
    const errors = code === 0 ? (JSON.parse(stdout) as { errors: number }).errors : undefined;
    this.#checks.check(
      "the scrub finds no errors",
      errors === 0 ? [] : [`exit ${code}: ${stdout} ${stderr}`],
    );
  }

  async endInOrder(): Promise<void> {
    const { code, elapsedMs } = await this.#daemon.stop();
    const inOrder = code === 0 && elapsedMs <= STOP_MS_MAX;
    this.#checks.check(
      "SIGTERM ends the daemon in time",
      inOrder ? [] : [`exit ${code} after ${elapsedMs.toFixed(0)} ms:\n${this.#daemon.output}`],
    );
    await this.#daemon.start();
    await this.#compareAll();
  }
}
