// The relay's process.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Prng } from "../../src/base/prng.ts";
import { answerParent } from "./child-script.ts";
import { DelayLine } from "./delay-line.ts";
import type { RelayAnswer, RelayOptions, RelayQuestion } from "./relay.ts";

const NO_WINDOW_BYTES = 16 * 2 ** 20;

let bytes = 0;

async function listen(options: RelayOptions): Promise<number> {
  const { delayMs = 0, stallShare = 0, stallMs = 0, windowBytes = NO_WINDOW_BYTES, seed = 1 } = options;
  const prng = new Prng(seed);
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = connect({ port: options.port, host: "127.0.0.1", allowHalfOpen: true });
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const)
      pass(from, to);
  });

  function pass(from: Socket, to: Socket): void {
    const line = new DelayLine({
      delayMs: () => delayMs + (prng.fraction() < stallShare ? stallMs : 0),
      windowBytes,
      write: (chunk, taken) => to.write(chunk, taken),
      end: () => to.end(),
      hold: () => from.pause(),
      goOn: () => from.resume(),
    });
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      bytes += chunk.length;
      line.push(chunk);
    });
    from.on("end", () => line.end());
    // The other end learns of it by a cut of its own.
    from.on("error", () => to.destroy());
    from.on("close", (hadError) => {
      if (hadError) to.destroy();
    });
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

answerParent<RelayQuestion, RelayAnswer>(async (question) =>
  question.ask === "listen" ? { port: await listen(question.options) } : { bytes },
);
