// What goes over an interface of a network namespace, seen from outside: the payloads of TCP, in the order of their packets.
// Taken by a process of its own (packet-capture-process.ts), which ends with this one.
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { killAtExit } from "./leftovers.ts";

const program = resolve(import.meta.dirname, "packet-capture-process.ts");
const ETHERNET_BYTES = 14;
const IPV4 = 0x0800;
const TCP = 6;

export interface SeenPayload {
  /** `ADDRESS:PORT>ADDRESS:PORT`. */
  readonly way: string;
  readonly bytes: Buffer;
}

export class PacketCapture implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #over: Promise<void>;
  readonly #seen: Buffer[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
    this.#over = new Promise((resolve) =>
      child.once("close", () => {
        forget();
        resolve();
      }),
    );
  }

  /** Resolves when it listens. */
  static async start(place: { readonly namespace: string }): Promise<PacketCapture> {
    const words = ["netns", "exec", place.namespace, process.execPath, program];
    const child = spawn("ip", words, { stdio: ["ignore", "pipe", "inherit"] });
    const capture = new PacketCapture(child);
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => reject(new Error("no packets can be seen here")));
      // A first record of no bytes says that it listens.
      child.stdout.once("data", () => resolve());
      child.stdout.on("data", (bytes: Buffer) => capture.#seen.push(bytes));
    });
    return capture;
  }

  /** Ends it; what was seen. */
  async stop(): Promise<SeenPayload[]> {
    this.#child.kill();
    await this.#over;
    const all = Buffer.concat(this.#seen);
    const payloads: SeenPayload[] = [];
    for (let at = 0; at + 4 <= all.length; ) {
      const length = all.readUInt32LE(at);
      const payload = payloadOf(all.subarray(at + 4, at + 4 + length));
      if (payload !== undefined && payload.bytes.length > 0) payloads.push(payload);
      at += 4 + length;
    }
    return payloads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#over;
  }
}

function payloadOf(frame: Buffer): SeenPayload | undefined {
  if (frame.length < ETHERNET_BYTES + 20 || frame.readUInt16BE(12) !== IPV4) return undefined;
  const packet = frame.subarray(ETHERNET_BYTES);
  const headerBytes = (packet[0]! & 0xf) * 4;
  if (packet[9] !== TCP) return undefined;
  const segment = packet.subarray(headerBytes, packet.readUInt16BE(2) || packet.length);
  const address = (at: number) => packet.subarray(at, at + 4).join(".");
  const way = `${address(12)}:${segment.readUInt16BE(0)}>${address(16)}:${segment.readUInt16BE(2)}`;
  return { way, bytes: segment.subarray((segment[12]! >> 4) * 4) };
}
