// The real daemon as a source of replicas or as their target, called by the library as a program of a user's would.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { connect, type FilesyncJson, type Ropewalk } from "../../src/library.ts";
import { Daemon } from "../../test/support/daemon.ts";
import type { SuiteContext } from "../suite.ts";

/** The pool is not used; it has the least size that there is. */
const POOL_SIZE = "1GiB";

/** Where a replica goes: the port of a daemon or of a relay before it. */
export interface Destination {
  readonly port: number;
  readonly name: string;
  readonly key: string;
}

export interface Replica {
  readonly name: string;
  readonly source: string;
  readonly destination: Destination;
  /** Connections. */
  readonly threads?: number;
}

export class ReplicaDaemon implements AsyncDisposable {
  readonly ropewalk: Ropewalk;
  readonly #daemon: Daemon;
  readonly #targets = new Map<string, Promise<Destination>>();

  private constructor(daemon: Daemon, ropewalk: Ropewalk) {
    this.#daemon = daemon;
    this.ropewalk = ropewalk;
  }

  /** `name`: of its folder. */
  static async start({ folder, profileFolder }: SuiteContext, name: string): Promise<ReplicaDaemon> {
    const dataDirectory = join(folder, `daemon-${name}`);
    const daemon = await Daemon.start({
      dataDirectory,
      poolSize: POOL_SIZE,
      environment: {
        ROPEWALK_LOG_LEVEL: "warn",
        ...(profileFolder === undefined ? {} : { NODE_OPTIONS: profileOptions(profileFolder, name) }),
      },
    });
    return new ReplicaDaemon(daemon, await connect({ dataDirectory }));
  }

  get pid(): number {
    return this.#daemon.pid;
  }

  /** Lets sources write to the directory, which is made when absent. The same again for the same name. */
  target(name: string, root: string): Promise<Destination> {
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const made = this.#makeTarget(name, root);
    this.#targets.set(name, made);
    return made;
  }

  async #makeTarget(name: string, root: string): Promise<Destination> {
    const { key } = await this.ropewalk.filesyncTargets.add({ name, root });
    const port = Number(this.#daemon.endpoints.peer[0]!.split(":").at(-1));
    return { port, name, key };
  }

  /** Replicates while `use` is under way, whose beginning is that of the first copy. */
  async replicating<Result>(replica: Replica, use: () => Promise<Result>): Promise<Result> {
    await this.#replicate(replica);
    try {
      return await use();
    } finally {
      await this.ropewalk.filesyncs.delete(replica.name);
    }
  }

  async #replicate({ name, source, destination, threads }: Replica): Promise<void> {
    const { port, name: target, key } = destination;
    await this.ropewalk.filesyncs.add({
      name,
      source,
      targets: [{ to: `ropewalk://127.0.0.1:${port}/${target}`, key }],
      ...(threads === undefined ? {} : { threads }),
    });
  }

  /** Resolves when the target equals the source as of now; rejects when a file of it could not be made equal. */
  async settled(name: string): Promise<FilesyncJson> {
    const shown = await this.ropewalk.filesyncs.settled(name);
    const { failures, lastFailures } = shown.targets[0]!;
    if (failures > 0) throw new Error(`${failures} failures, the last ${JSON.stringify(lastFailures)}`);
    return shown;
  }

  /** Milliseconds from the request to replicate until the target equals the source. */
  async firstCopy(replica: Replica): Promise<number> {
    const startedMs = performance.now();
    return await this.replicating(replica, async () => {
      await this.settled(replica.name);
      return performance.now() - startedMs;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { code } = await this.#daemon.stop();
    await this.#daemon[Symbol.asyncDispose]();
    if (code !== 0) throw new Error(`the daemon ended with ${code}:\n${this.#daemon.output}`);
  }
}

function profileOptions(folder: string, name: string): string {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  return `--cpu-prof --cpu-prof-dir=${place}`;
}
