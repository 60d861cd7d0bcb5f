// The peer: tgt, in the foreground on a free port, with control sockets in a folder of ours so that a tgtd that serves
// this machine is not touched; one target with the file as its unit 1, for any initiator.
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killAtExit } from "../../test/support/leftovers.ts";
import { runProgram, tryProgram } from "../../test/support/run-program.ts";
import { findProgram } from "../../tools/find-program.ts";
import type { Server } from "../nbd/server.ts";

const TARGET = "iqn.2026-11.io.ropewalk:peer";
const CONTROL_PORT = "1";
const START_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 5_000;

export class TgtServer implements Server {
  readonly name = "tgt";
  readonly #folder: string;
  readonly #sizeBytes: number;
  #port = 0;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #printed = "";

  constructor({ folder, sizeBytes }: { folder: string; sizeBytes: number }) {
    this.#folder = folder;
    this.#sizeBytes = sizeBytes;
  }

  static get isInstalled(): boolean {
    return findProgram("tgtd") !== undefined && findProgram("tgtadm") !== undefined;
  }

  static async version(): Promise<string> {
    return TgtServer.isInstalled ? (await runProgram(findProgram("tgtd")!, ["--version"])).trim() : "none";
  }

  async start(): Promise<void> {
    await writeFile(this.#file, "");
    await truncate(this.#file, this.#sizeBytes);
    this.#port = await freePort();
    const portal = `portal=127.0.0.1:${this.#port}`;
    const child = spawn(findProgram("tgtd")!, ["-f", "-C", CONTROL_PORT, "--iscsi", portal], {
      env: { ...process.env, ...this.#environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#printed += text;
    });
    this.#ended = new Promise<void>((done) => {
      child.on("error", () => done());
      child.on("exit", () => done());
    }).then(forget);
    await this.#untilItAnswers();
    await this.#manage("target", "new", "--tid", "1", "-T", TARGET);
    await this.#manage("logicalunit", "new", "--tid", "1", "--lun", "1", "--backing-store", this.#file);
    await this.#manage("target", "bind", "--tid", "1", "-I", "ALL");
  }

  uri(): string {
    return `iscsi://127.0.0.1:${this.#port}/${TARGET}/1`;
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return;
    // As long as it has targets it does not end, whatever it is asked.
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await this.#control("--op", "delete", "--mode", "target", "--tid", "1", "--force");
      await tryProgram(findProgram("tgtadm")!, ["-C", CONTROL_PORT, "--op", "delete", "--mode", "system"], {
        environment: this.#environment,
      });
    }
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), END_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
    rmSync(this.#file, { force: true });
  }

  get #file(): string {
    return join(this.#folder, "tgt.img");
  }

  get #environment(): Record<string, string> {
    return { TGT_IPC_SOCKET: join(this.#folder, "tgt.socket") };
  }

  async #untilItAnswers(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      const { code } = await this.#control("--op", "show", "--mode", "target");
      if (code === 0) return;
      if (this.#child?.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`tgtd did not start: ${this.#printed}`);
      await delay(20);
    }
  }

  async #manage(mode: string, operation: string, ...parameters: string[]): Promise<void> {
    const { code, stderr } = await this.#control("--op", operation, "--mode", mode, ...parameters);
    if (code !== 0) throw new Error(`tgtadm ${operation} ${mode}: ${stderr}`);
  }

  #control(...parameters: string[]) {
    const all = ["-C", CONTROL_PORT, "--lld", "iscsi", ...parameters];
    return tryProgram(findProgram("tgtadm")!, all, { environment: this.#environment });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
