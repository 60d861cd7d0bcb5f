// What a test's stream receiver hears: its events in order, and its bytes where they are wanted. Each wait has a limit,
// so that a stream that never says a word fails its test.
import type { ByteStream, StreamReceiver } from "../../src/ports/mod.ts";

const WAIT_MS_MAX = 20_000;

export class StreamRecorder implements StreamReceiver {
  readonly events: string[] = [];
  readonly memory = Buffer.alloc(256 * 1024);
  stream!: ByteStream;
  error: Error | undefined;
  receivedBytes = 0;
  /** Called with what arrived, which lies in `memory`. */
  onBytes: (bytes: Buffer) => void = () => {};
  onOpened: (stream: ByteStream) => void = () => {};
  onDrained: () => void = () => {};
  onEnded: () => void = () => {};

  opened(stream: ByteStream): void {
    this.stream = stream;
    this.events.push("opened");
    this.onOpened(stream);
  }
  target(): Uint8Array {
    return this.memory;
  }
  received(length: number): void {
    this.receivedBytes += length;
    this.onBytes(this.memory.subarray(0, length));
  }
  drained(): void {
    this.onDrained();
  }
  secured(): void {
    this.events.push("secured");
  }
  ended(): void {
    this.events.push("ended");
    this.onEnded();
  }
  closed(error: Error | undefined): void {
    this.error = error;
    this.events.push("closed");
  }

  /** Resolves when it has heard `event`. */
  async heard(event: "opened" | "secured" | "ended" | "closed"): Promise<void> {
    const endMs = performance.now() + WAIT_MS_MAX;
    while (!this.events.includes(event)) {
      if (performance.now() > endMs) throw new Error(`no "${event}" came, but ${this.events.join(", ")}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** Sends bytes that tell their place, by and by as the stream takes them, then ends. */
export function sendPlaced(recorder: StreamRecorder, totalBytes: number): void {
  let sentBytes = 0;
  const go = () => {
    while (sentBytes < totalBytes) {
      const length = Math.min(WRITE_BYTES, totalBytes - sentBytes);
      const parts = [
        placed(sentBytes, length >> 1),
        placed(sentBytes + (length >> 1), length - (length >> 1)),
      ];
      sentBytes += length;
      if (!recorder.stream.write(parts)) return;
    }
    if (sentBytes === totalBytes) recorder.stream.end();
    sentBytes = Number.POSITIVE_INFINITY;
  };
  recorder.onDrained = go;
  go();
}

/** Fails at the first byte that is not in its place. */
export function checkPlaced(recorder: StreamRecorder, bytes: Buffer): void {
  const at = recorder.receivedBytes - bytes.length;
  if (!bytes.equals(placed(at, bytes.length))) recorder.stream.destroy();
}

const WRITE_BYTES = 256 * 1024;
/** No power of two, so that a piece that is lost or doubled shows. */
const PERIOD_BYTES = 1_000_003;
const pattern = Buffer.alloc(PERIOD_BYTES + WRITE_BYTES);
for (let index = 0; index < pattern.length; index++) {
  const place = index % PERIOD_BYTES;
  pattern[index] = (place ^ (place >> 8) ^ (place >> 16)) & 0xff;
}

function placed(at: number, length: number): Buffer {
  const start = at % PERIOD_BYTES;
  return pattern.subarray(start, start + length);
}
