// A relay for TCP between a source and its target, with a fixed port, whatever port the target has by now: it can cut
// connections, let nothing through (a black hole: nothing is closed, nothing arrives), or let bytes through slowly.
import { connect, createServer, type Server, type Socket } from "node:net";

export type RelayMode = "open" | "closed" | "blackHole" | "slow";

const SLOW_BYTES = 16 * 1024;
const SLOW_MS = 20;

export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Where to connect to; undefined: the target is down. */
  target: () => number | undefined = () => undefined;
  mode: RelayMode = "open";
  /** What becomes of bytes on their way to the target, or back, in place. */
  change: (bytes: Buffer, way: "there" | "back") => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Relay> {
    const server = createServer({ pauseOnConnect: true });
    const relay = new Relay(server);
    server.on("connection", (socket) => relay.#accept(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Ends every connection at once, as a firewall that was restarted does. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #accept(near: Socket): void {
    const port = this.mode === "closed" ? undefined : this.target();
    if (port === undefined) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, "127.0.0.1");
    near.on("data", (bytes: Buffer) => this.change(bytes, "there"));
    far.on("data", (bytes: Buffer) => this.change(bytes, "back"));
    this.#pass(near, far);
    this.#pass(far, near);
    near.resume();
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("end", () => to.end());
    from.on("data", (bytes: Buffer) => {
      // Swallowed bytes would be a broken stream; so the connection is cut when the hole closes.
      if (this.mode === "blackHole") {
        from.pause();
        return;
      }
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
      if (this.mode !== "slow") return;
      from.pause();
      setTimeout(() => from.resume(), Math.max(SLOW_MS, (bytes.length / SLOW_BYTES) * SLOW_MS));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
