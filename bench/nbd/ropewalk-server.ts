// Ourselves as a server: the real daemon on a pool of its own, checksums on as always, one volume at first.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Daemon } from "../../test/support/daemon.ts";
import type { SuiteContext } from "../suite.ts";
import type { Server } from "./server.ts";

export interface RopewalkOptions {
  /** Also the name of its folder. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly poolBytes: number;
  /** Volume to serve; default `vol0`. */
  readonly volume?: string;
}

export class RopewalkServer implements Server {
  readonly name: string;
  readonly #context: SuiteContext;
  readonly #options: RopewalkOptions;
  #daemon: Daemon | undefined;

  constructor(context: SuiteContext, options: RopewalkOptions) {
    this.name = options.name;
    this.#context = context;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { folder, profileFolder } = this.#context;
    const { name, sizeBytes, poolBytes, volume } = this.#options;
    const profile = profileFolder === undefined ? {} : { NODE_OPTIONS: profileOptions(profileFolder, name) };
    this.#daemon = await Daemon.start({
      dataDirectory: join(folder, name),
      poolSize: String(poolBytes),
      environment: { ...profile, ROPEWALK_LOG_LEVEL: "warn" },
    });
    await this.createVolume(volume ?? "vol0", sizeBytes);
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error(`${this.name} is not started`);
    return this.#daemon;
  }

  async createVolume(name: string, sizeBytes: number): Promise<void> {
    await this.daemon.cli("volume", "create", name, "--size", String(sizeBytes));
  }

  /** The daemon again after an orderly stop, with its pool as it was. */
  async restart(): Promise<void> {
    await this.daemon.stop();
    await this.daemon.start();
  }

  uri(volume = this.#options.volume ?? "vol0"): string {
    return this.daemon.uri(volume);
  }

  async metric(name: string): Promise<number> {
    const value = (await this.daemon.metrics()).get(name);
    if (value === undefined) throw new Error(`/metrics has no ${name}`);
    return value;
  }

  async stop(): Promise<void> {
    if (this.#daemon === undefined) return;
    const { code } = await this.#daemon.stop();
    await this.#daemon[Symbol.asyncDispose]();
    // Its space and its pages in the cache are for what is measured next.
    rmSync(join(this.#context.folder, this.name), { recursive: true, force: true });
    if (code !== 0) throw new Error(`${this.name} ended with ${code}:\n${this.#daemon.output}`);
  }
}

function profileOptions(folder: string, name: string): string {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  return `--cpu-prof --cpu-prof-dir=${place}`;
}
