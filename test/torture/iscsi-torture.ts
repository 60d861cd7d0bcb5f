// The iSCSI front end of the real daemon: libiscsi's test suite in full; a crowd of idle and stalled initiators; then an
// ext4 on a logical unit at work while the daemon is killed with SIGKILL at random, sometimes once more while it recovers.
// After every kill the journal is replayed, every file that was durable is there, and the file system is clean.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { Daemon } from "../support/daemon.ts";
import { killAtExit } from "../support/leftovers.ts";
import { LoopMount } from "../support/nbd-mount.ts";
import { runProgram } from "../support/run-program.ts";
import type { Checks } from "./checks.ts";
import { fileSystemProblems } from "./disk-image.ts";
import { avoidableSkips, RESET_UNIT_BYTES, runConformance, skipReasons } from "./iscsi-conformance.ts";
import { iscsiCrowd } from "./iscsi-crowd.ts";
import { IscsiDisk } from "./iscsi-disk.ts";
import { ExpectedFiles } from "./iscsi-expected-files.ts";

export interface IscsiTortureOptions {
  readonly kills: number;
  readonly seed: number;
  /** Life between two kills, at random from the one to the other. */
  readonly lifeMsMin: number;
  readonly lifeMsMax: number;
}

const TARGET_PREFIX = "iqn.2026-11.io.ropewalk:";
const SUITE = { name: "suite", sizeBytes: 256 * 2 ** 20 };
const RESET = { name: "reset", sizeBytes: RESET_UNIT_BYTES };
const DISK = { name: "disk", size: "256MiB" };
const POOL_SIZE = "4GiB";
const CROWD = { idleSessions: 1000, stalledSessions: 8, deafSessions: 8, workMs: 10_000, untilEnded: true };
const SUITE_TIMEOUT_MS = 1_800_000;
/** How often a start is cut short as well, and when. */
const RECOVERY_KILL_CHANCE = 0.2;
const RECOVERY_KILL_MS_MAX = 600;
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 10_000;
const WRITER_END_TIMEOUT_MS = 60_000;
/** After its device is gone the kernel may still be busy with it for a moment. */
const UNMOUNT_ATTEMPTS = 20;

/** What needs no kill. */
export async function iscsiSuite(checks: Checks): Promise<void> {
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE, flags: ["--iscsi", "127.0.0.1:0"] });
  for (const { name, sizeBytes } of [SUITE, RESET])
    await daemon.cli("volume", "create", name, "--size", String(sizeBytes));
  const unit = (name: string) => [urlOf(daemon, name, 0), urlOf(daemon, name, 1)] as const;
  const units = { unit: unit(SUITE.name), resetUnit: unit(RESET.name) };
  const result = await runConformance({ ...units, timeoutMs: SUITE_TIMEOUT_MS });
  checks.say(
    `libiscsi's suite: ${result.testsRun} tests in ${(result.elapsedMs / 1000).toFixed(0)} s; skips: ${skipReasons(result.skips).join("; ")}`,
  );
  checks.check("libiscsi's suite passes in full", result.failures);
  checks.check("it skips only what a fixed disk cannot have", avoidableSkips(result.skips));
  checks.check("the daemon outlives the suite", daemon.running ? [] : [daemon.output]);
  await iscsiCrowd(CROWD, checks);
}

export async function iscsiTorture(options: IscsiTortureOptions, checks: Checks): Promise<void> {
  await using daemon = await Daemon.start({ poolSize: POOL_SIZE });
  await daemon.cli("volume", "create", DISK.name, "--size", DISK.size);
  {
    await using disk = await IscsiDisk.open(urlOf(daemon, DISK.name));
    await runProgram("mke2fs", ["-q", "-t", "ext4", disk.path]);
  }
  const torture = new IscsiTorture({ ...options, daemon, checks });
  for (let kill = 1; kill <= options.kills; kill++) {
    await torture.live(kill);
    await torture.comeBack();
  }
  await torture.endInOrder();
}

function urlOf(daemon: Daemon, volume: string, portal = 0): string {
  return `iscsi://${daemon.endpoints.iscsi[portal]}/${TARGET_PREFIX}${volume}/0`;
}

class IscsiTorture {
  readonly #daemon: Daemon;
  readonly #checks: Checks;
  readonly #options: IscsiTortureOptions;
  readonly #prng: Prng;
  readonly #expected = new ExpectedFiles();

  constructor(options: IscsiTortureOptions & { daemon: Daemon; checks: Checks }) {
    this.#options = options;
    this.#daemon = options.daemon;
    this.#checks = options.checks;
    this.#prng = new Prng(options.seed);
  }

  /** One life of the daemon under a mounted file system, from the writer at work to SIGKILL and everything unmounted. */
  async live(kill: number): Promise<void> {
    const daemon = this.#daemon;
    const { lifeMsMin, lifeMsMax, seed } = this.#options;
    const lifeMs = lifeMsMin + this.#prng.fraction() * (lifeMsMax - lifeMsMin);
    await using disk = await IscsiDisk.open(urlOf(daemon, DISK.name));
    const mount = await LoopMount.open(disk.path);
    const before = this.#expected.changes;
    const writer = new FileWriter(mount.path, { seed: seed + kill, expected: this.#expected });
    await delay(lifeMs);
    const problems = [
      ...(daemon.running ? [] : [`the daemon died: ${daemon.output}`]),
      ...(writer.running ? [] : [`the writer ended: ${writer.printed}`]),
    ];
    await daemon.kill();
    await disk.cut();
    await writer.end();
    await unmount(mount);
    const changes = this.#expected.changes - before;
    this.#checks.check("the daemon and the file system work until the kill", problems);
    this.#checks.check("files were made durable", changes > 0 ? [] : ["none"]);
    this.#checks.say(`kill ${kill} after ${(lifeMs / 1000).toFixed(1)} s: ${changes} changes durable`);
  }

  /** Starts it again, mounts what is there and compares. */
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
    await using disk = await IscsiDisk.open(urlOf(daemon, DISK.name));
    const features = await runProgram("dumpe2fs", ["-h", disk.path]);
    this.#checks.check(
      "the file system was cut off in the middle of its work",
      features.includes("needs_recovery") ? [] : ["its journal has nothing to replay"],
    );
    await this.#compare(disk);
  }

  async #compare(disk: IscsiDisk): Promise<void> {
    {
      await using mount = await LoopMount.open(disk.path);
      this.#checks.check(
        "after the journal's replay every file is what it was or was becoming",
        this.#expected.settle(mount.path),
      );
    }
    this.#checks.check("the file system is clean", await fileSystemProblems(disk.path));
  }

  async endInOrder(): Promise<void> {
    const { errors } = (await this.#daemon.json("scrub")) as { errors: number };
    this.#checks.check("the scrub finds no errors", errors === 0 ? [] : [`${errors} errors`]);
    const { code, elapsedMs } = await this.#daemon.stop();
    const inOrder = code === 0 && elapsedMs <= STOP_MS_MAX;
    this.#checks.check(
      "SIGTERM ends the daemon in time",
      inOrder ? [] : [`exit ${code} after ${elapsedMs.toFixed(0)} ms:\n${this.#daemon.output}`],
    );
    await this.#daemon.start();
    await using disk = await IscsiDisk.open(urlOf(this.#daemon, DISK.name));
    await this.#compare(disk);
  }
}

/** The writer in its process: its calls wait in the kernel when the disk does not answer. */
class FileWriter {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  printed = "";

  constructor(folder: string, { seed, expected }: { seed: number; expected: ExpectedFiles }) {
    const program = join(import.meta.dirname, "iscsi-file-writer.ts");
    const child = spawn(process.execPath, [program, folder, String(seed), String(expected.nextVersion)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const forget = killAtExit(child.pid!);
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.printed += text;
    });
    const lines = createInterface({ input: child.stdout }).on("line", (line) => expected.heard(line));
    this.#ended = Promise.all([
      new Promise<void>((done) => lines.once("close", () => done())),
      new Promise<void>((done) => child.once("close", () => done())),
    ]).then(forget);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Returns when it is gone and all that it said was heard. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    const late = new AbortController();
    const timeout = delay(WRITER_END_TIMEOUT_MS, "late", { signal: late.signal }).catch(() => undefined);
    const first = await Promise.race([this.#ended, timeout]);
    late.abort();
    if (first === "late") throw new Error("the writer hangs although its disk is gone");
  }
}

async function unmount(mount: LoopMount): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await mount[Symbol.asyncDispose]();
    } catch (error) {
      if (attempt === UNMOUNT_ATTEMPTS) throw error;
      await delay(250);
    }
  }
}
