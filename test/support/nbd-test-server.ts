// An NBD server in the test's own process, on a Unix socket in a folder of its own, serving devices in memory.

import { RopewalkError } from "../../src/base/errors.ts";
import type { BlockDevice } from "../../src/device/mod.ts";
import { type NbdContext, type NbdLimits, NbdServer, type TlsMode } from "../../src/frontend/nbd/mod.ts";
import { hostClock, SocketNetwork } from "../../src/host/mod.ts";
import { type ClientMode, NbdClient } from "./nbd-client.ts";
import { TemporaryFolder } from "./temporary-folder.ts";

export interface TestExport {
  readonly device: BlockDevice;
  readonly description?: string;
  readonly contexts?: readonly NbdContext[];
}

export interface TestServerOptions {
  readonly exports: Record<string, TestExport>;
  readonly limits?: Partial<NbdLimits>;
  readonly tls?: TlsMode;
  /** Each export takes this long to open. */
  readonly openMs?: number;
}

export class NbdTestServer implements AsyncDisposable {
  readonly server: NbdServer;
  readonly path: string;
  readonly port: number;
  /** Why connections were closed. */
  readonly reports: string[];
  /** Names in the order in which they were opened. */
  readonly opened: string[];
  readonly #folder: TemporaryFolder;

  constructor(
    parts: Pick<NbdTestServer, "server" | "path" | "port" | "reports" | "opened">,
    folder: TemporaryFolder,
  ) {
    this.server = parts.server;
    this.path = parts.path;
    this.port = parts.port;
    this.reports = parts.reports;
    this.opened = parts.opened;
    this.#folder = folder;
  }

  static async start(options: TestServerOptions): Promise<NbdTestServer> {
    const folder = new TemporaryFolder();
    const reports: string[] = [];
    const opened: string[] = [];
    const server = new NbdServer({
      clock: hostClock,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      report: (_peer, sentence) => reports.push(sentence),
      exports: {
        list: () =>
          Object.entries(options.exports).map(([name, { description = "" }]) => ({ name, description })),
        open: (name) => {
          opened.push(name);
          const found = options.exports[name];
          if (found === undefined) throw new RopewalkError("VOLUME_NOT_FOUND", `there is no export ${name}`);
          const { device, description = "", contexts = [] } = found;
          const result = { device, description, contexts: () => contexts };
          const delayMs = options.openMs;
          return delayMs === undefined
            ? result
            : new Promise((resolve) => setTimeout(resolve, delayMs, result));
        },
      },
    });
    const network = new SocketNetwork();
    const path = folder.file("nbd.sock");
    await server.listen(network, { kind: "unix", path }, options.tls);
    const address = await server.listen(network, { kind: "tcp", host: "127.0.0.1", port: 0 }, options.tls);
    const port = address.kind === "tcp" ? address.port : 0;
    return new NbdTestServer({ server, path, port, reports, opened }, folder);
  }

  connect(): Promise<NbdClient> {
    return NbdClient.connect(this.path);
  }

  open(name: string, mode: ClientMode): Promise<NbdClient> {
    return NbdClient.open(this.path, name, mode);
  }

  uri(name: string): string {
    return `nbd+unix:///${encodeURIComponent(name)}?socket=${this.path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close({ graceMs: 1_000 });
    this.#folder[Symbol.dispose]();
  }
}
