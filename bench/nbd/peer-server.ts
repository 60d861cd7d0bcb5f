// The peers: nbdkit and qemu-nbd, each a process of its own on a Unix socket, serving a file of the wanted size.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killAtExit } from "../../test/support/leftovers.ts";
import { runProgram } from "../../test/support/run-program.ts";
import type { Server } from "./server.ts";

const START_TIMEOUT_MS = 10_000;

interface PeerOptions {
  readonly name: string;
  readonly program: string;
  readonly parameters: readonly string[];
  readonly socket: string;
  /** Makes what is served; called once, at the first start. */
  readonly prepare: () => Promise<void>;
}

export class PeerServer implements Server {
  readonly name: string;
  readonly #options: PeerOptions;
  #prepared = false;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: PeerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { program, parameters, socket, prepare } = this.#options;
    if (!this.#prepared) await prepare();
    this.#prepared = true;
    rmSync(socket, { force: true });
    const child = spawn(program, parameters, { stdio: ["ignore", "ignore", "inherit"] });
    const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    this.#child = child;
    this.#ended = new Promise<void>((done) => {
      child.on("error", () => done());
      child.on("exit", () => done());
    }).then(forget);
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!existsSync(socket)) {
      if (child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`${this.name} did not start`);
      await delay(5);
    }
  }

  uri(): string {
    return `nbd+unix:///?socket=${this.#options.socket}`;
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), START_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

export interface PeerPlace {
  readonly folder: string;
  readonly sizeBytes: number;
}

/** nbdkit's file plugin with its default of 16 threads. */
export function nbdkitFile({ folder, sizeBytes }: PeerPlace): PeerServer {
  const [file, socket] = [join(folder, "nbdkit.img"), join(folder, "nbdkit.sock")];
  return new PeerServer({
    name: "nbdkit file",
    program: "nbdkit",
    parameters: ["--foreground", "--unix", socket, "file", file],
    socket,
    prepare: () => emptyFile(file, sizeBytes),
  });
}

/** nbdkit answering zeros and keeping nothing, on one thread: what client and protocol cost without a store. */
export function nbdkitNull({ folder, sizeBytes }: PeerPlace): PeerServer {
  const socket = join(folder, "null.sock");
  return new PeerServer({
    name: "nbdkit null, one thread",
    program: "nbdkit",
    parameters: ["--foreground", "--threads", "1", "--unix", socket, "null", String(sizeBytes)],
    socket,
    prepare: async () => {},
  });
}

export function qemuRaw({ folder, sizeBytes, aio }: PeerPlace & { aio: "threads" | "io_uring" }): PeerServer {
  const [file, socket] = [join(folder, `qemu-${aio}.img`), join(folder, `qemu-${aio}.sock`)];
  return new PeerServer({
    name: `qemu-nbd raw, aio=${aio}`,
    program: "qemu-nbd",
    parameters: ["-f", "raw", "-k", socket, "-t", "-e", "8", "--cache=writeback", `--aio=${aio}`, file],
    socket,
    prepare: () => emptyFile(file, sizeBytes),
  });
}

export class QemuQcow2 extends PeerServer {
  readonly #file: string;

  constructor({ folder, sizeBytes }: PeerPlace) {
    const [file, socket] = [join(folder, "qemu.qcow2"), join(folder, "qcow2.sock")];
    super({
      name: "qemu-nbd qcow2 with an internal snapshot",
      program: "qemu-nbd",
      parameters: ["-f", "qcow2", "-k", socket, "-t", "-e", "8", "--cache=writeback", file],
      socket,
      prepare: async () => {
        await runProgram("qemu-img", ["create", "-q", "-f", "qcow2", file, String(sizeBytes)]);
      },
    });
    this.#file = file;
  }

  /** Takes an internal snapshot, for which the server must not have the file. */
  async snapshot(name: string): Promise<void> {
    await this.stop();
    await runProgram("qemu-img", ["snapshot", "-c", name, this.#file]);
    await this.start();
  }

  async dropSnapshot(name: string): Promise<void> {
    await this.stop();
    await runProgram("qemu-img", ["snapshot", "-d", name, this.#file]);
    await this.start();
  }
}

async function emptyFile(file: string, sizeBytes: number): Promise<void> {
  await writeFile(file, "");
  await truncate(file, sizeBytes);
}
