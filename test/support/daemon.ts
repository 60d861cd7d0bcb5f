// The real daemon as a process of its own, on a data directory and on ports that nobody else uses, and its
// command line. It dies with the process that started it, whatever happens to that one (setpriv's death
// signal, and killing by pid at exit), and its temporary data goes with it.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../../tools/find-program.ts";
import { killAtExit } from "./leftovers.ts";
import { type ProgramResult, runProgram, tryProgram } from "./run-program.ts";
import { TemporaryFolder } from "./temporary-folder.ts";

const command = resolve(import.meta.dirname, "../../bin/ropewalk");
/** Recovery of a large pool may take seconds; a daemon that is not there by then hangs. */
const READY_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 60_000;
const OUTPUT_CHARACTERS_MAX = 200_000;

export interface DaemonOptions {
  /** An own folder, kept when the daemon ends. Default: a temporary one, removed on disposal. */
  readonly dataDirectory?: string;
  readonly poolSize?: string;
  /** More flags of `ropewalk serve`. */
  readonly flags?: readonly string[];
  readonly environment?: Record<string, string>;
  /** A command in front of the daemon's, such as strace and its options. */
  readonly wrapper?: readonly string[];
  /** A network namespace of `ip netns`, for the daemon and its command line. Its `httpUrl` reaches nothing from here. */
  readonly namespace?: string;
}

export interface Endpoints {
  readonly pid: number;
  readonly nbd: readonly string[];
  readonly iscsi: readonly string[];
  readonly http: readonly string[];
  readonly peer: readonly string[];
}

export interface DaemonEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly elapsedMs: number;
}

export class Daemon implements AsyncDisposable {
  readonly dataDirectory: string;
  /** From the start of the process until it accepted clients. */
  startMs = 0;
  readonly #options: DaemonOptions;
  readonly #folder: TemporaryFolder | undefined;
  #child: ChildProcess | undefined;
  #ended: Promise<Omit<DaemonEnd, "elapsedMs">> = Promise.resolve({ code: 0, signal: null });
  #output = "";

  private constructor(options: DaemonOptions) {
    this.#options = options;
    this.#folder = options.dataDirectory === undefined ? new TemporaryFolder() : undefined;
    this.dataDirectory = options.dataDirectory ?? this.#folder!.file("data");
  }

  /** Starts a daemon and returns when it accepts clients. Rejects with its output if it ends before. */
  static async start(options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = new Daemon(options);
    try {
      await daemon.start();
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  /** Starts it again after `stop` or `kill`. */
  async start(): Promise<void> {
    const startedMs = performance.now();
    this.launch();
    await this.ready();
    this.startMs = performance.now() - startedMs;
  }

  /** Starts the process only, for those that end it before it is ready. */
  launch(): void {
    if (this.running) throw new Error("the daemon is running");
    // What an earlier run left there must not be taken for the new one's.
    rmSync(join(this.dataDirectory, "endpoints.json"), { force: true });
    const serve = [
      command,
      "serve",
      "--data",
      this.dataDirectory,
      "--iscsi",
      "127.0.0.1:0",
      "--nbd",
      "127.0.0.1:0",
      "--http",
      "127.0.0.1:0",
      "--peer",
      "127.0.0.1:0",
    ];
    const { poolSize, flags, wrapper, environment, namespace } = this.#options;
    if (poolSize !== undefined) serve.push("--pool-size", poolSize);
    const setpriv = findProgram("setpriv");
    const leash = setpriv === undefined ? [] : [setpriv, "--pdeathsig", "KILL"];
    const around = [...leash, ...inNamespace(namespace), ...(wrapper ?? [])];
    const [program, ...parameters] = [...around, ...serve, ...(flags ?? [])] as [string];
    const child = spawn(program, parameters, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#output = "";
    const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    this.#ended = new Promise((done) => {
      child.on("error", (error) => {
        this.#output += error.message;
        forget();
        done({ code: 127, signal: null });
      });
      child.on("close", (code, signal) => {
        forget();
        done({ code, signal });
      });
    });
  }

  /** Returns when the launched process accepts clients. */
  async ready(): Promise<void> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      if (!this.running) throw new Error(`the daemon ended before it was ready:\n${this.#output}`);
      // The file is written when all front ends listen.
      if (existsSync(join(this.dataDirectory, "endpoints.json")) && (await this.#healthy())) return;
      if (performance.now() > deadlineMs) {
        await this.kill();
        throw new Error(`the daemon was not ready within ${READY_TIMEOUT_MS} ms:\n${this.#output}`);
      }
      await delay(10);
    }
  }

  async #healthy(): Promise<boolean> {
    if (this.#options.namespace !== undefined) return (await this.tryCli("volume", "list")).code === 0;
    try {
      return (await fetch(`${this.httpUrl}/healthz`)).ok;
    } catch {
      // The file may be half written or its port not be there yet.
      return false;
    }
  }

  get running(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Id of the daemon's own process, which is not the wrapper's. */
  get pid(): number {
    return this.endpoints.pid;
  }

  get endpoints(): Endpoints {
    return JSON.parse(readFileSync(join(this.dataDirectory, "endpoints.json"), "utf8")) as Endpoints;
  }

  /** What the daemon printed since it was started, both streams. */
  get output(): string {
    return this.#output;
  }

  get httpUrl(): string {
    return `http://${this.endpoints.http[0]}`;
  }

  get nbdSocket(): string {
    return join(this.dataDirectory, "nbd.sock");
  }

  get nbdPort(): number {
    return Number(this.endpoints.nbd[0]?.split(":").at(-1));
  }

  /** The address of an export (`VOLUME` or `VOLUME@SNAPSHOT`) over the Unix socket. */
  uri(exportName: string): string {
    return `nbd+unix:///${exportName}?socket=${this.nbdSocket}`;
  }

  tcpUri(exportName: string): string {
    return `nbd://127.0.0.1:${this.nbdPort}/${exportName}`;
  }

  /** Asks it to end and waits. */
  async stop(): Promise<DaemonEnd> {
    const startedMs = performance.now();
    if (this.running) this.#signal("SIGTERM");
    return { ...(await this.#wait()), elapsedMs: performance.now() - startedMs };
  }

  /** SIGKILL, as a crash of the process would be. */
  async kill(): Promise<void> {
    if (this.running) this.#signal("SIGKILL");
    await this.#wait();
  }

  /** How it ended by itself. */
  async end(): Promise<DaemonEnd> {
    const startedMs = performance.now();
    return { ...(await this.#wait()), elapsedMs: performance.now() - startedMs };
  }

  #signal(signal: NodeJS.Signals): void {
    let pid = this.#child?.pid;
    if (this.#options.wrapper !== undefined) {
      try {
        pid = this.pid;
      } catch {
        // It was never ready; then the wrapper itself is what can be ended.
      }
    }
    try {
      if (pid !== undefined) process.kill(pid, signal);
    } catch {
      // It ended in the meantime.
    }
  }

  async #wait(): Promise<Omit<DaemonEnd, "elapsedMs">> {
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), END_TIMEOUT_MS);
    const end = await this.#ended;
    clearTimeout(timer);
    return end;
  }

  /** Runs `ropewalk …` against this daemon; standard output, or a rejection if it exits with other than 0. */
  cli(...parameters: string[]): Promise<string> {
    const [program, ...words] = this.#cliWords(parameters);
    return runProgram(program, words, { environment: this.#cliEnvironment() });
  }

  /** The same, with whatever exit code. */
  tryCli(...parameters: string[]): Promise<ProgramResult> {
    const [program, ...words] = this.#cliWords(parameters);
    return tryProgram(program, words, { environment: this.#cliEnvironment() });
  }

  /** The same with `--json`, parsed. */
  async json(...parameters: string[]): Promise<unknown> {
    return JSON.parse(await this.cli(...parameters, "--json"));
  }

  #cliWords(parameters: readonly string[]): [string, ...string[]] {
    return [...inNamespace(this.#options.namespace), command, ...parameters] as [string, ...string[]];
  }

  #cliEnvironment(): Record<string, string> {
    return { ROPEWALK_DATA: this.dataDirectory };
  }

  /** The samples of /metrics by name with labels, as in `name{label="value"}`. */
  async metrics(): Promise<Map<string, number>> {
    const text = await (await fetch(`${this.httpUrl}/metrics`)).text();
    const samples = new Map<string, number>();
    for (const line of text.split("\n")) {
      const sample = /^([^#\s{]+(?:\{.*\})?)\s+(\S+)$/.exec(line);
      if (sample) samples.set(sample[1]!, Number(sample[2]));
    }
    return samples;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#folder?.[Symbol.dispose]();
  }
}

/** It becomes the program itself, with the same id. */
function inNamespace(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ["ip", "netns", "exec", namespace];
}
