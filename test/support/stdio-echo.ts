// Run by sshd or as a child in tests: sends back all that comes over standard input, with its parameters first, and
// pauses while its own replies are not taken.

import { stdioStream } from "../../src/host/mod.ts";
import type { ByteStream } from "../../src/ports/mod.ts";

const memory = Buffer.alloc(64 * 1024);
let stream: ByteStream;
stdioStream({
  opened(opened) {
    stream = opened;
    stream.write([Buffer.from(`${JSON.stringify(process.argv.slice(2))}\n`)]);
  },
  target: () => memory,
  received(length) {
    if (!stream.write([Buffer.from(memory.subarray(0, length))])) stream.pause();
  },
  drained: () => stream.resume(),
  secured() {},
  ended: () => stream.end(),
  closed(error) {
    if (error === undefined) return;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 3;
  },
});
