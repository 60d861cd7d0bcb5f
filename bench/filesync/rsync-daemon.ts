// The peer: rsync and its daemon, in the foreground on a free port of loopback, with a configuration of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killAtExit } from "../../test/support/leftovers.ts";
import { runProgram, tryProgram } from "../../test/support/run-program.ts";
import { findProgram } from "../../tools/find-program.ts";
import { freePort } from "./free-port.ts";

const START_TIMEOUT_MS = 10_000;
const TIMEOUT_MS = 1_800_000;
const MODULE = "bench";

/** Its exit code for files that vanished while it read them, which live trees have. */
const VANISHED = 24;

export class RsyncDaemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #forget: () => void;
  readonly #folder: string;
  readonly #port: number;
  #printed = "";

  private constructor(child: ChildProcess, place: { folder: string; port: number }) {
    this.#child = child;
    this.#forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    this.#folder = place.folder;
    this.#port = place.port;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#printed += text;
    });
    child.on("error", (error) => {
      this.#printed += error.message;
    });
  }

  static async version(): Promise<string> {
    if (findProgram("rsync") === undefined) return "no rsync";
    return (await runProgram("rsync", ["--version"])).split("\n")[0]!.replace(/ {2,}.*/, "");
  }

  /** Serves `folder` and all in it. */
  static async start(folder: string): Promise<RsyncDaemon> {
    const port = await freePort();
    const configuration = join(folder, `rsyncd-${port}.conf`);
    writeFileSync(configuration, configurationText(folder, port));
    const child = spawn("rsync", ["--daemon", "--no-detach", `--config=${configuration}`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const daemon = new RsyncDaemon(child, { folder, port });
    await daemon.#untilItAnswers();
    return daemon;
  }

  /** How rsync finds a folder within the one that is served. */
  url(path: string): string {
    return `rsync://127.0.0.1:${this.#port}/${MODULE}/${relative(this.#folder, path)}/`;
  }

  /** Milliseconds of `rsync OPTIONS SOURCE/ DAEMON/TARGET/`. */
  async run(options: readonly string[], from: { source: string; target: string }): Promise<number> {
    const parameters = [...options, `${from.source}/`, this.url(from.target)];
    const { code, stderr, elapsedMs } = await tryProgram("rsync", parameters, { timeoutMs: TIMEOUT_MS });
    if (code !== 0 && code !== VANISHED) throw new Error(`rsync ended with ${code}: ${stderr}`);
    return elapsedMs;
  }

  async #untilItAnswers(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!(await isListening(this.#port))) {
      if (this.#child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`rsync's daemon did not start: ${this.#printed}`);
      await delay(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await ended;
    }
    this.#forget();
  }
}

function configurationText(folder: string, port: number): string {
  // As root it would become nobody, who can set no owners.
  const user = process.getuid?.() === 0 ? ["uid = 0", "gid = 0"] : [];
  return [
    `port = ${port}`,
    "address = 127.0.0.1",
    "use chroot = no",
    "numeric ids = yes",
    ...user,
    `[${MODULE}]`,
    `path = ${folder}`,
    "read only = no",
    "munge symlinks = no",
    "",
  ].join("\n");
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
